"""The attacks. They receive a view and nothing else; a test keeps this package away from data and
training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field

from uninv_lib.attacks.features.recover import recover_features
from uninv_lib.attacks.labels.answers import infer_labels
from uninv_lib.attacks.labels.probes import Counted, make_probes
from uninv_lib.attacks.session import Session
from uninv_lib.types import *

__all__ = ["infer_labels", "make_probes", "recover_features"]


@dataclass(frozen=True)
class Attack:
    function: Callable[..., Any]
    assumes: tuple[str, ...] = ()


RECOVERY = {
    "smoke": {
        "fast": {"iterations": 20},
        "best": {"iterations": 20},
        "paper": {"iterations": 20, "restarts": 1},
        "second_order": {"iterations": 20},
    },
    "quick": {
        "fast": {"iterations": 100},
        "best": {"iterations": 200},
        "paper": {"iterations": 100, "restarts": 1},
    },
    "default": {"fast": {}, "best": {}, "paper": {"iterations": 300, "restarts": 1}},
    "full": {
        "fast": {"iterations": 1000, "restarts": 6},
        "best": {"iterations": 2000, "restarts": 6},
        "paper": {},
    },
}


def rec(name):
    def f(view: WhiteBoxView, *, session: Session, budget: str = "default") -> Reconstruction:
        return recover_features(
            view,
            rng=session.rng,
            preset=name,
            progress=session.progress,
            callback=session.watch,
            **RECOVERY[budget].get(name, {}),
        )

    return f


P = {"smoke": 2, "quick": 10, "default": 10, "full": 20}


def _l(
    view: BlackBoxView,
    *,
    session: Session,
    budget: str = "default",
    probes: Annotated[str, Field(description="p")] = "zoo",
    score: Annotated[str, Field(description="s")] = "confidence",
) -> LabelScores:
    asked = Counted(view.before)

    def compute():
        p = make_probes(
            asked,
            view.num_classes,
            view.input_shape,
            rng=session.rng,
            method=probes,
            count=len(view.public) if probes == "public" else P[budget],
            like=view.public,
            public=view.public,
            progress=session.progress,
        )
        return {"probes": p, "queries": torch.tensor(asked.queries)}

    found = session.keep("probes", compute)
    pr = found["probes"].to(view.public)
    scores = infer_labels(view, pr, score=score)
    fewer = {
        m: infer_labels(view, pr[:, :m], score=score).ranked
        for m in (1, 2, 5, 10, 20, 40)
        if m < pr.shape[1]
    }
    import dataclasses

    return dataclasses.replace(scores, fewer=fewer, queries_probes=int(found["queries"]))


ATTACKS = {
    "fast": Attack(rec("fast")),
    "best": Attack(rec("best")),
    "paper": Attack(rec("paper"), ("labels",)),
    "analytic": Attack(rec("analytic")),
    "second_order": Attack(rec("second_order"), ("public",)),
    "labels": Attack(_l),
}
