"""Approximate unlearning: climb the forgotten samples' loss while descending that of the others.

NegGrad+ of Kurmanji et al. 2023, "Towards Unbounded Machine Unlearning".
"""

from __future__ import annotations

import torch

from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.steps import Loss, Rate, Share, Steps, descend, error, retained


def neggrad_plus(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    unlearning_rate: Rate = 1e-3,
    unlearning_steps: Steps = 5,
    retain_weight: Share = 0.5,
) -> State:
    """θ after steps of descent on w · L(retain) − (1 − w) · L(forget), w = retain_weight (Kurmanji
    et al. 2023).

    Reads both parts. A step takes a gradient of each forgotten sample and of a minibatch of
    retained ones: as many steps as an epoch has cost one training again. Without forgotten samples
    θ stays as it is; without retained ones the ascent remains. Raises FloatingPointError where it
    diverges.
    """
    if not len(forget):
        return dict(trained.state)
    net, w = trained.net, retain_weight

    def against(kept: Split) -> Loss:
        return lambda at: w * error(net, at, kept) - (1 - w) * error(net, at, forget)

    losses = map(against, retained(trained, retain, unlearning_steps, rng))
    return descend("neggrad_plus", trained, losses, unlearning_rate)
