"""A turned update, filtered of what it was turned towards."""

from __future__ import annotations

from math import radians, sin

from uninv_lib.attacks.adaptive.obfuscation import filtered
from uninv_lib.types import WhiteBoxView


def unturned(view: WhiteBoxView) -> WhiteBoxView:
    """The direction was drawn as noise is, so that it is filtered as noise: of the squared length
    sin² of the angle, which the strength tells, is not update (ours).
    """
    return filtered(view, sin(radians(view.strength or 0)) ** 2)
