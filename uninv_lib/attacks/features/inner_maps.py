"""As `fast`, with what entered the last two convolutions solved and certified where that is
possible (ours).
"""

from __future__ import annotations

from dataclasses import replace

from uninv_lib.attacks.features.fast import BUDGETS as FAST_BUDGETS
from uninv_lib.attacks.features.fast import FAST, solve
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.settings import Changes, changed
from uninv_lib.attacks.session import Session
from uninv_lib.types import Reconstruction, WhiteBoxView

SOLVED = Changes(
    lr=0.01,
    iterations=150,
    patience=None,
    enough=0.0,
    rounds=1,
    phases=(4, 2, 1, 4 / 3, 16),
    fading=0.03,
    colours=64,
    tries=3,
    kinds=("layerwise",),
)
"""Where the maps are certified: most of the time for a picture that gives them, and little for the
gradient in front of them, which then gains less in its time; a prior that fades, since an exact map
needs it on the way there alone (ours, measured on photos and CIFAR-10)."""
NONE = "inner_maps: no map is solved, and the search is that of `fast`"
INNER_MAPS = replace(FAST, exact=60, solved=SOLVED)


def _of(budget: str, exact: int, iterations: int) -> Changes:
    solved = Changes(**{**SOLVED, "iterations": iterations})
    return Changes(**{**FAST_BUDGETS[budget], "exact": exact, "solved": solved})


BUDGETS: dict[str, Changes] = {
    "smoke": _of("smoke", 2, 10),
    "quick": _of("quick", 20, 50),
    "default": {},
    "full": _of("full", 200, 300),
}


def inner_maps(view: WhiteBoxView, *, session: Session, budget: str = "default") -> Reconstruction:
    """One sample, by a chain of convolutions (see `chain_of`): `solve_inner` first, whose maps take
    the place of those found by descent, where they are certified. Else, and for other nets, `fast`.

    Raises what `fast` raises.
    """
    found = solve([inspect_view(view)], changed(INNER_MAPS, BUDGETS[budget]), session)[0]
    return found if found.residuals else replace(found, remarks=(*found.remarks, NONE))
