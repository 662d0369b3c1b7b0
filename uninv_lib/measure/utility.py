"""What is measured whatever was attacked: what the models are worth, and who was forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from uninv_lib.measure.outcome import Outcome, Values
from uninv_lib.training import evaluate


def accuracy(part: Literal["test", "retained", "forgotten"]) -> Callable[[Outcome], Values]:
    """Accuracies of the models before, after unlearning, and released (after the defense)."""

    def measured(outcome: Outcome) -> Values:
        scene, net = outcome.scene, outcome.scene.trained.net
        test = scene.dataset.test.to(scene.forget.inputs)
        split = {"test": test, "retained": scene.retain, "forgotten": scene.forget}[part]
        states = {"_before": scene.trained.state, "_released": scene.released}
        if scene.released is not scene.unlearned:
            states["_after"] = scene.unlearned
        return {n: evaluate(net, s, split) for n, s in states.items()} if len(split) else {}

    return measured


def forgotten_label(outcome: Outcome) -> Values:
    return {"": float(outcome.scene.forget.labels[0])}
