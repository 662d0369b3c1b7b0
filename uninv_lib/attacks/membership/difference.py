"""Membership by the answers of two models (Chen et al., CCS 2021): who was forgotten moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from uninv_lib.attacks.session import Session
from uninv_lib.options import one_of
from uninv_lib.types import BlackBoxView, MembershipScores


def direct_difference(before: Tensor, after: Tensor) -> Tensor:
    """after − before, a class a column."""
    return after - before


def sorted_difference(before: Tensor, after: Tensor) -> Tensor:
    """The same, the classes in the order of their probability before."""
    order = before.argsort(1, descending=True)
    return after.gather(1, order) - before.gather(1, order)


def distance(before: Tensor, after: Tensor) -> Tensor:
    """The Euclidean distance of both, one column."""
    return (after - before).square().sum(1, keepdim=True).sqrt()


def direct_concatenation(before: Tensor, after: Tensor) -> Tensor:
    """Both, side by side."""
    return torch.cat([before, after], 1)


def sorted_concatenation(before: Tensor, after: Tensor) -> Tensor:
    """Both, the classes in the order of their probability before."""
    order = before.argsort(1, descending=True)
    return torch.cat([before.gather(1, order), after.gather(1, order)], 1)


CONSTRUCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sorted_difference": sorted_difference,
    "direct_difference": direct_difference,
    "distance": distance,
    "sorted_concatenation": sorted_concatenation,
    "direct_concatenation": direct_concatenation,
}
"""(answers before, after), (n, classes) float64 each -> what a sample is judged by, (n, columns);
the five of the paper."""
LACKS = "view.{}: None; attack 'membership' assumes {}"


def membership(
    view: BlackBoxView,
    *,
    session: Session,
    budget: str = "default",
    construction: Annotated[
        str,
        one_of("construction", CONSTRUCTIONS),
        Field(description="what of the two answers a sample is judged by"),
    ] = "sorted_difference",
) -> MembershipScores:
    """How much each of `view.candidates` looks like a forgotten sample rather than one that neither
    model has seen: the log-odds of a logistic regression.

    It learns from `view.shadows`, answers of services of the attacker's own whose forgotten samples
    are known. Chen et al. 2021, sections 3 and 4. Raises ValueError where the view lacks either.
    """
    shadows, candidates = view.shadows, view.candidates
    if shadows is None:
        raise ValueError(LACKS.format("shadows", "answers of one's own services"))
    if candidates is None:
        raise ValueError(LACKS.format("candidates", "the samples that are asked about"))
    if shadows.forgotten.all() or not shadows.forgotten.any():
        raise ValueError("view.shadows: all forgotten, or none; allowed: some of each")
    construct = CONSTRUCTIONS[construction]
    with torch.no_grad():
        asked = [predict(candidates) for predict in (view.before, view.after)]
    own, theirs = (
        construct(*(answers.double().cpu() for answers in pair))
        for pair in ((shadows.before, shadows.after), asked)
    )
    scores = _judged(own, shadows.forgotten.cpu(), theirs)
    return MembershipScores(scores.to(view.like), queries=2 * len(candidates))


def _judged(own: Tensor, forgotten: Tensor, theirs: Tensor) -> Tensor:
    """Fitted to one's own samples, (n, columns) with (n,) bool -> log-odds of theirs, (m,). What
    does not vary tells nothing.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    found = model.fit(own.numpy(), forgotten.numpy()).decision_function(theirs.numpy())
    return torch.from_numpy(found)
