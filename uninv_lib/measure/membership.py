"""Metrics of membership: how well who was forgotten is told from who was never there."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.measure.outcome import Outcome, Values
from uninv_lib.shadows import candidates_of


def membership(outcome: Outcome) -> Values:
    parts = candidates_of(outcome.scene)
    scores = outcome.membership.scores.cpu().split([len(part) for part in parts])
    found, retained, unseen = zip(scores, (part.labels.cpu() for part in parts), strict=True)
    told = {"": above(*found, *unseen), "_retained": above(*retained, *unseen)}
    return {name: share for name, share in told.items() if share == share}  # NaN: nobody to compare


def above(scores: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor) -> float:
    """The share of pairs of one class in which the first scores higher, ties being half (the area
    under the ROC curve); 0.5 is a guess, NaN where there is no pair.
    """
    order = torch.sign(scores[:, None] - others).double()
    return (order[labels[:, None] == other_labels].mean().item() + 1) / 2
