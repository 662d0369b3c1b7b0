"""Metrics of membership: how well who was forgotten is told from who was never there."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.measure.outcome import Outcome, Values
from uninv_lib.shadows import others_of


def membership(outcome: Outcome) -> Values:
    count = others_of(outcome.scene)
    sizes = [len(outcome.scene.forget), count, count]
    found, retained, unseen = outcome.membership.scores.split(sizes)
    return {"": above(found, unseen), "_retained": above(retained, unseen)}


def above(scores: Tensor, others: Tensor) -> float:
    """The share of pairs in which the first scores higher, ties being half (the area under the
    ROC curve); 0.5 is a guess.
    """
    gaps = scores[:, None] - others
    return (torch.sign(gaps).double().mean().item() + 1) / 2
