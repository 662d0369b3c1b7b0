"""What is measured whatever was attacked: what the models are worth, and who was forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from uninv_lib.defenses.dp_sgd import epsilon as epsilon_of
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


def epsilon(outcome: Outcome) -> Values:
    """Of one retained sample, where the defense is DP-SGD."""
    spec, scene = outcome.scene.spec, outcome.scene
    if spec.defense != "dp_sgd" or not len(scene.retain):
        return {}
    spent = epsilon_of(
        spec.strength,
        len(scene.retain),
        scene.trained.batch_size,
        epochs=spec.dp_epochs,
        delta=spec.dp_delta,
    )
    return {"": spent}
