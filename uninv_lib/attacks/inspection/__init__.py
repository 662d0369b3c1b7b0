"""What an attack understands of two models before it begins: each stage reads one thing, a file
each.
"""

from __future__ import annotations

from collections.abc import Callable

from uninv_lib.anatomy import anatomy_of_view
from uninv_lib.attacks.inspection.adapters import adapted
from uninv_lib.attacks.inspection.given import given
from uninv_lib.attacks.inspection.modes import modes
from uninv_lib.attacks.inspection.names import matching, named
from uninv_lib.attacks.inspection.outputs import one_output
from uninv_lib.attacks.inspection.result import Inspection, Reading
from uninv_lib.attacks.inspection.rounding import rounded
from uninv_lib.attacks.inspection.steps import stepped
from uninv_lib.types import WhiteBoxView

__all__ = ["Inspection", "Reading", "inspect_view"]

STAGES: tuple[Callable[[Reading], Reading], ...] = (
    given,
    named,
    adapted,
    matching,
    one_output,
    rounded,
    modes,
    stepped,
)
"""In this order; each sees what those before it understood."""


def inspect_view(view: WhiteBoxView) -> Inspection:
    """The view as the attacks take it, what its net is made of, and what a user must know of it.

    Raises ValueError that names what no attack can work with.
    """
    reading = Reading(view=view)
    for stage in STAGES:
        reading = stage(reading)
    fields = {name: getattr(reading, name) for name in reading.__dataclass_fields__}
    return Inspection(**fields, anatomy=anatomy_of_view(reading.view))
