"""Metrics of label inference."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.attacks.labels.answers import by_distance, counts_of
from uninv_lib.attacks.labels.by_parameters import labels_of_parameters
from uninv_lib.attacks.search.update import NothingChanged
from uninv_lib.measure.outcome import Outcome, Values


def inferred_labels(outcome: Outcome) -> Values:
    fewer, smoothed = outcome.scores.fewer, _smoothed(outcome)
    known = {"_adaptive": outcome.right(by_distance(outcome.scores))} if smoothed else {}
    return {
        "": outcome.right(outcome.scores.ranked),
        **known,
        **{f"_{count}": outcome.right(ranked) for count, ranked in fewer.items()},
        **{f"_server{name}": outcome.right(ranked) for name, ranked in by_server(outcome).items()},
    }


def _smoothed(outcome: Outcome) -> bool:
    """Whether the loss that was climbed has smoothed labels."""
    return bool(outcome.scene.spec.options("unlearning").get("label_smoothing"))


def by_server(outcome: Outcome) -> dict[str, Tensor]:
    """Rankings by the last layer's parameters: by its bias, by all of each class, with public data
    also by what they do to them, and to who knows: of the defense, by its bias, of smoothed labels,
    by what the model before answers; by suffix.
    """
    scene, view = outcome.scene, outcome.scene.white_box()
    scores = {"": (view, "bias"), "_rows": (view, "rows")}
    if view.public is not None:
        scores |= {"_logit": (view, "logit"), "_curvature": (view, "curvature")}
    defended, smoothed = scene.spec.defense in ADAPTIVE, _smoothed(outcome)
    if defended or smoothed:
        seen = scene.knowing() if defended else view
        scores["_adaptive"] = seen, "answer" if smoothed else "bias"
    found = {}
    for name, (seen, score) in scores.items():
        try:
            found[name] = labels_of_parameters(seen, score=score).ranked
        except NothingChanged:  # any class is as good as another
            found[name] = torch.arange(scene.dataset.num_classes)
    return found


def inferred_label(outcome: Outcome) -> Values:
    return {"": float(outcome.scores.ranked[0])}


def count_error(outcome: Outcome) -> Values:
    true, total = outcome.scene.forget.labels, len(outcome.scene.forget)
    counts = torch.bincount(true, minlength=outcome.scene.dataset.num_classes)
    found = counts_of(outcome.scores.change.cpu(), total)
    return {"": (found - counts.cpu()).abs().sum().item() / (2 * total)}


def rank(outcome: Outcome) -> Values:
    first = outcome.scene.forget.labels[0]
    return {"": 1.0 + (outcome.scores.ranked == first).nonzero().item()}


def change(outcome: Outcome) -> Values:
    return {f"_{i}": value for i, value in enumerate(outcome.scores.change.tolist())}


def change_of_forgotten(outcome: Outcome) -> Values:
    return {"": outcome.scores.change[outcome.scene.forget.labels.unique()].mean().item()}


def chance(outcome: Outcome) -> Values:
    classes = len(outcome.scene.forget.labels.unique())
    return {"": classes / outcome.scene.dataset.num_classes}


def forgotten(outcome: Outcome) -> Values:
    return {"": float(len(outcome.scene.forget))}


def queries(outcome: Outcome) -> Values:
    scores = outcome.scores
    return {"_probes": float(scores.queries_probes), "_scores": float(scores.queries)}
