"""Metrics of forgetting: how far the released model is from ones that never saw the forgotten."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.measure.outcome import Outcome, Values
from uninv_lib.models import predictor
from uninv_lib.types import State


def retraining_distance(outcome: Outcome) -> Values:
    spread = _apart(outcome, *outcome.retrained)
    scene = outcome.scene
    away = {
        name: sum(_apart(outcome, state, other) for other in outcome.retrained) / 2
        for name, state in (("", scene.released), ("_before", scene.trained.state))
    }
    units = {name: gap / spread for name, gap in away.items()} if spread else {}
    return {**units, "_absolute": away[""], "_spread": spread}


def _apart(outcome: Outcome, one: State, other: State) -> float:
    """Total variation of the answers of two models, mean over test and forgotten samples."""
    scene = outcome.scene
    asked = scene.dataset.test.to(scene.forget.inputs).and_then(scene.forget).inputs
    answers = [_answers(outcome, state, asked) for state in (one, other)]
    return 0.5 * (answers[0] - answers[1]).abs().sum(1).mean().item()


@torch.no_grad()
def _answers(outcome: Outcome, state: State, inputs: Tensor) -> Tensor:
    """Probabilities in float64, before the service makes anything of them."""
    predict = predictor(outcome.scene.trained.net, state)
    return torch.cat([predict(part).double() for part in inputs.split(512)])


def over_unlearning(outcome: Outcome) -> Values:
    forget = outcome.scene.forget
    if not len(forget):
        return {}
    states = [*outcome.retrained, outcome.scene.released, outcome.scene.trained.state]
    first, second, released, before = (
        _answers(outcome, state, forget.inputs).gather(1, forget.labels[:, None]).mean().item()
        for state in states
    )
    retrained = (first + second) / 2
    return {"": retrained - released, "_before": retrained - before}
