"""Approximate unlearning: teach the model wrong labels of the forgotten samples.

Graves et al. 2021, "Amnesiac Machine Learning", and Golatkar et al. 2020, who compare with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.steps import (
    Loss,
    Rate,
    Share,
    Steps,
    descend,
    error,
    relabelled,
    retained,
)


def random_labels(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    unlearning_rate: Rate = 1e-3,
    unlearning_steps: Steps = 5,
    retain_weight: Share = 0.8,
) -> State:
    """θ after steps of descent on w · L(retain) + (1 − w) · L(forget with random labels), w =
    retain_weight; the labels are drawn once, never the true ones (Graves et al. 2021).

    Reads both parts. A step takes a gradient of each forgotten sample and of a minibatch of
    retained ones: as many steps as an epoch has cost one training again. Without forgotten samples
    θ stays as it is; without retained ones their part falls away. Raises FloatingPointError where
    it diverges.
    """
    if not len(forget):
        return dict(trained.state)
    losses = mislead(trained, forget, retain, unlearning_steps, retain_weight, rng)
    return descend("random_labels", trained, losses, unlearning_rate)


def mislead(
    trained: Trained,
    forget: Split,
    retain: Split,
    steps: int,
    retain_weight: float,
    rng: torch.Generator,
) -> Iterator[Loss]:
    """The loss of each step."""
    net, w = trained.net, retain_weight
    wrong = relabelled(net, trained.state, forget, rng)

    def beside(kept: Split) -> Loss:
        return lambda at: w * error(net, at, kept) + (1 - w) * error(net, at, wrong)

    return map(beside, retained(trained, retain, steps, rng))
