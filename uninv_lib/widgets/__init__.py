"""Widgets that work in the built page, without a kernel, and recompute where there is one."""

from uninv_lib.support.extras import needs

with needs("widgets"):
    from uninv_lib.widgets.defense import DefenseLab
    from uninv_lib.widgets.draw import DrawForgetLeak
    from uninv_lib.widgets.labels import LabelMeter
    from uninv_lib.widgets.recovery import RecoveryExplorer

__all__ = ["DefenseLab", "DrawForgetLeak", "LabelMeter", "RecoveryExplorer"]
