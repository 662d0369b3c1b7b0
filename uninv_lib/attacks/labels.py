"""Label inference: the forgotten class is the one whose confidence falls most (eqs. 9 to 11)."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.types import BlackBoxView, LabelScores


@torch.no_grad()
def infer_labels(view: BlackBoxView, probes: Tensor) -> LabelScores:
    """Ask both models about the probes of every class and rank the classes by their confidence's change.

    probes: (classes, m, *input_shape), probes[c] being samples that the model before takes for class c.
    For one forgotten label take ranked[0]; for K labels the first K. Asks 2 · classes · m answers.
    Raises ValueError for probes of another shape.
    """
    expected = (view.num_classes, "m", *view.input_shape)
    if probes.ndim != len(expected) or (probes.shape[0], *probes.shape[2:]) != (expected[0], *expected[2:]):
        raise ValueError(f"probes: shape {tuple(probes.shape)}; allowed: {expected}, m of 1 or more")
    inputs = probes.flatten(0, 1)
    answers = [predict(inputs).unflatten(0, probes.shape[:2]).double() for predict in (view.before, view.after)]
    change = (answers[1] - answers[0]).mean(1).diagonal()
    return LabelScores(change, change.argsort(), 2 * len(inputs))
