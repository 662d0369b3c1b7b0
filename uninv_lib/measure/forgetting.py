"""Metrics of forgetting: how far the released model is from ones that never saw the forgotten."""

from __future__ import annotations

from itertools import combinations
from statistics import mean

import torch
from torch import Tensor

from uninv_lib.measure.outcome import Outcome, Values
from uninv_lib.models import predictor
from uninv_lib.types import State

ROUNDING = 10
"""Multiples of a float's resolution up to which a spread is one of sums in another order (ours)."""


def retraining_distance(outcome: Outcome) -> Values:
    scene = outcome.scene
    asked = scene.dataset.test.to(scene.forget.inputs).and_then(scene.forget).inputs
    again = [_answers(outcome, state, asked) for state in outcome.retrained]
    spread = mean(_apart(*pair) for pair in combinations(again, 2))
    away = {}
    for name, state in (("", scene.released), ("_before", scene.trained.state)):
        own = _answers(outcome, state, asked)
        away[name] = mean(_apart(own, other) for other in again)
    least = ROUNDING * torch.finfo(scene.forget.inputs.dtype).eps
    units = {name: gap / spread for name, gap in away.items()} if spread > least else {}
    return {**units, "_absolute": away[""], "_spread": spread}


def _apart(one: Tensor, other: Tensor) -> float:
    """Total variation of the answers of two models, the mean over samples."""
    return 0.5 * (one - other).abs().sum(1).mean().item()


@torch.no_grad()
def _answers(outcome: Outcome, state: State, inputs: Tensor) -> Tensor:
    """Probabilities in float64, before the service makes anything of them."""
    predict = predictor(outcome.scene.trained.net, state)
    return torch.cat([predict(part).double() for part in inputs.split(512)])


def over_unlearning(outcome: Outcome) -> Values:
    scene = outcome.scene
    if not len(scene.forget):
        return {}
    retrained = mean(_confidence(outcome, state) for state in outcome.retrained)
    states = {"": scene.released, "_before": scene.trained.state}
    return {name: retrained - _confidence(outcome, state) for name, state in states.items()}


def _confidence(outcome: Outcome, state: State) -> float:
    """In the forgotten labels, the mean."""
    forget = outcome.scene.forget
    return _answers(outcome, state, forget.inputs).gather(1, forget.labels[:, None]).mean().item()
