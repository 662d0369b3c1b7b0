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

INNER_MAPS = replace(FAST, exact=60, enough=0.0)
"""Both rounds always: a certified map brings the cost below what is `enough` in the first already,
and the second gained 5 dB on one of three photographs and lost half of one on another (ours). The
quick budget stops as `fast` does."""
BUDGETS: dict[str, Changes] = {
    "smoke": {**FAST_BUDGETS["smoke"], "exact": 2},
    "quick": {**FAST_BUDGETS["quick"], "exact": 20, "enough": FAST.enough},
    "default": {},
    "full": {**FAST_BUDGETS["full"], "exact": 200},
}


def inner_maps(view: WhiteBoxView, *, session: Session, budget: str = "default") -> Reconstruction:
    """One sample, by a chain of convolutions (see `chain_of`): `solve_inner` first, whose maps take
    the place of those found by descent, where they are certified. Else, and for other nets, `fast`.

    Raises what `fast` raises.
    """
    return solve([inspect_view(view)], changed(INNER_MAPS, BUDGETS[budget]), session)[0]
