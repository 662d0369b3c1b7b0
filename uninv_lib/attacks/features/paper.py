"""The published attack: the forgotten samples by the cosine of gradients, from noise."""

from __future__ import annotations

from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.recovery import search
from uninv_lib.attacks.search.settings import Changes, Settings, changed
from uninv_lib.attacks.session import Session
from uninv_lib.types import Reconstruction, WhiteBoxView

PAPER = Settings(error_known=False, signed=True, lr=0.04, iterations=10_000, restarts=5, tv=0.01)
"""The official code: signed AdamW, lr 0.04 halved at 3/8, 5/8 and 7/8, TV 1e-2, 10,000 x 5 from
Gaussian noise."""
BUDGETS: dict[str, Changes] = {
    "smoke": {"iterations": 20, "restarts": 1},
    "quick": {"iterations": 100, "restarts": 1},
    "default": {"iterations": 300, "restarts": 1},
    "full": {},
}


def paper(view: WhiteBoxView, *, session: Session, budget: str = "default") -> Reconstruction:
    """Eqs. 2 to 7: dummy samples of the known labels, whose own cross-entropy's gradient is turned
    towards the update; total variation smooths them.

    Assumes `view.labels`. Raises what `search` raises.
    """
    return search([inspect_view(view)], changed(PAPER, BUDGETS[budget]), session)[0]
