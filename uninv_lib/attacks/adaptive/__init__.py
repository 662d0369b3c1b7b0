"""What an attacker does who knows of the defense: a function view -> view for each defense that has
one, in a file of the defense's name, or of what several of them do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uninv_lib.attacks.adaptive.cosine import unturned
from uninv_lib.attacks.adaptive.decoys import everybody
from uninv_lib.attacks.adaptive.drift import without_drift
from uninv_lib.attacks.adaptive.obfuscation import denoised
from uninv_lib.attacks.adaptive.pruning import unmask
from uninv_lib.attacks.adaptive.rounding import unrounded
from uninv_lib.attacks.adaptive.sign import unpressed
from uninv_lib.attacks.adaptive.top_k import refilled
from uninv_lib.types import WhiteBoxView

Function = Callable[[WhiteBoxView], WhiteBoxView]


@dataclass(frozen=True)
class Adaptive:
    """function: view -> view; assumes: fields of the view that it needs beyond the threat model, as
    of `Attack`.
    """

    function: Function
    assumes: tuple[str, ...] = ()

    def __call__(self, view: WhiteBoxView) -> WhiteBoxView:
        """What who knows of the defense makes of the view."""
        return self.function(view)


ADAPTIVE: dict[str, Function] = {
    "obfuscation": Adaptive(denoised, ("strength",)),
    "pruning": unmask,
    "fine_tuning": Adaptive(without_drift, ("public",)),
    "sign": Adaptive(unpressed, ("strength",)),
    "top_k": refilled,
    "rounding": unrounded,
    "precision": unrounded,
    "decoys": Adaptive(everybody, ("strength",)),
    "projection": Adaptive(without_drift, ("public",)),
    "cosine": Adaptive(unturned, ("strength",)),
    "dp_sgd": Adaptive(without_drift, ("public",)),
}
"""By the name of the defense; an entry is a function, or an `Adaptive` that says what it assumes.
None mutates the view, and of an undefended one each gives nearly the same update."""


def assumed(defense: str) -> tuple[str, ...]:
    """What who knows of this defense must be told beyond the threat model, as fields of the
    view.
    """
    return getattr(ADAPTIVE[defense], "assumes", ())
