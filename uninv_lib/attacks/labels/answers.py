"""Label inference: the forgotten class is the one whose confidence, or log-odds, falls most (eqs. 9
to 11).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from uninv_lib.attacks.labels.probes import METHODS, Counted, method_of
from uninv_lib.attacks.session import Session
from uninv_lib.options import one_of
from uninv_lib.types import BlackBoxView, LabelScores

BUDGETS = {"smoke": 2, "quick": 10, "default": 10, "full": 20}
"""Probes a class; of public samples, which cost nothing to make, as many as there are."""
FEWER = (1, 2, 5, 10, 20, 40)
"""Probes a class whose rankings are told beside that of all."""


def confidence(probabilities: Tensor) -> Tensor:
    """The probabilities as they are, (n, classes), in float64."""
    return probabilities.double()


def log_odds(probabilities: Tensor) -> Tensor:
    """log p − log(1 − p) of each class, (n, classes) -> (n, classes) float64; at least −69, at most
    69.

    1 − p is the sum of the others' probabilities: taken from one, all digits of a p near 1 would be
    lost.
    """
    p = probabilities.double()
    others = 1 - torch.eye(p.shape[1], dtype=p.dtype, device=p.device)
    return p.clamp_min(1e-30).log() - (p @ others).clamp_min(1e-30).log()


SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "confidence": confidence,
    "log_odds": log_odds,
}


def counts_of(change: Tensor, total: int) -> Tensor:
    """How many of `total` forgotten samples each class had, (classes,) int64: in proportion to the
    falls in `change`.

    The largest remainders are rounded up. Where nothing fell the samples are spread evenly.
    """
    falls = -change.double().clamp(max=0)
    falls = torch.ones_like(falls) if not falls.any() else falls
    quota = total * falls / falls.sum()
    counts = quota.floor().long()
    counts[(quota - counts).argsort(descending=True)[: total - int(counts.sum())]] += 1
    return counts


def by_distance(scores: LabelScores) -> Tensor:
    """The classes, (classes,) int64, that on whose probes the answers moved furthest first (ours).

    For who knows that the loss was of smoothed labels: a step up that loss may raise the forgotten
    class, but the samples that are like the forgotten one still move furthest. Measured of digits
    with a smoothing of 0.05 to 0.9: right 23 or 24 times in 24, as without it.
    """
    if scores.moved is None:
        raise ValueError("scores.moved: None; allowed: scores of `infer_labels`")
    return scores.moved.argsort(descending=True)


@torch.no_grad()
def infer_labels(view: BlackBoxView, probes: Tensor, *, score: str = "confidence") -> LabelScores:
    """Ask both models about the probes of every class and rank the classes by the change of their
    score.

    probes: (classes, m, *input_shape), probes[c] being samples that the model before takes for
    class c. For one forgotten label take ranked[0]; for K labels the first K. Asks 2 · classes · m
    answers. score: "confidence" as published, "log_odds" (ours), which saturated probes do not
    flatten. Raises ValueError for probes of another shape and for an unknown score.
    """
    if score not in SCORES:
        raise ValueError(f"score: {score!r}; allowed: {', '.join(SCORES)}")
    expected = (view.num_classes, "m", *view.input_shape)
    shape = (*probes.shape[:1], "m", *probes.shape[2:])
    if shape != expected or not probes.shape[1]:
        raise ValueError(
            f"probes: shape {tuple(probes.shape)}; allowed: {expected}, m of 1 or more"
        )
    inputs = probes.flatten(0, 1)
    answers = [predict(inputs) for predict in (view.before, view.after)]
    for name, given in zip(("before", "after"), answers, strict=True):
        if given.shape != (len(inputs), view.num_classes) or not given.isfinite().all():
            finite = "" if given.isfinite().all() else ", NaN or infinity among them"
            raise ValueError(
                f"view.{name}: answers of shape {tuple(given.shape)}{finite}; allowed: finite "
                f"probabilities, {(len(inputs), view.num_classes)}"
            )
    before, after = (SCORES[score](given).unflatten(0, probes.shape[:2]) for given in answers)
    change = (after - before).mean(1).diagonal()
    before, after = (given.double().clamp_min(1e-30).log() for given in answers)
    moved = (after - before - (after - before).mean(1, keepdim=True)).norm(dim=1)
    moved = moved.unflatten(0, probes.shape[:2]).mean(1)
    return LabelScores(change, change.argsort(), 2 * len(inputs), moved=moved)


def labels(
    view: BlackBoxView,
    *,
    session: Session,
    budget: str = "default",
    probes: Annotated[
        str,
        one_of("probes", METHODS),
        Field(
            description="searched in white box (gradient) or black box (zoo; middling: to less "
            "confidence), or of public samples, an assumption (public, boundary)",
            examples=[*METHODS],
        ),
    ] = "zoo",
    score: Annotated[
        str,
        one_of("score", SCORES),
        Field(description="what is compared; confidence is published", examples=[*SCORES]),
    ] = "confidence",
) -> LabelScores:
    """Probes of every class, and `infer_labels` by all of them and by the first few.

    probes: of METHODS, which say what they assume; score: of SCORES. The probes depend on the model
    before alone, and go through `session.keep`. Raises what the method and `infer_labels` raise.
    """
    made, queries = probes_of_budget(view, session=session, budget=budget, probes=probes)
    scores = infer_labels(view, made, score=score)
    fewer = {
        m: infer_labels(view, made[:, :m], score=score).ranked for m in FEWER if m < made.shape[1]
    }
    return replace(scores, fewer=fewer, queries_probes=queries)


def probes_of_budget(
    view: BlackBoxView, *, session: Session, budget: str, probes: str
) -> tuple[Tensor, int]:
    """(probes (classes, m, *input_shape), answers asked for them), as `session.keep` has them."""
    method, asked = method_of(probes), Counted(view.before)
    there = 0 if view.public is None else len(view.public)
    count = BUDGETS[budget] if method.searched else there

    def compute() -> dict[str, Tensor]:
        found = method.function(replace(view, before=asked), count, session=session)
        return {"probes": found, "queries": torch.tensor(asked.queries)}

    found = session.keep("probes", compute)
    return found["probes"].to(view.like), int(found["queries"])
