"""Exact unlearning: train again, from the pretrained model, without the forgotten samples."""

from __future__ import annotations

import torch

from uninv_lib.training import train
from uninv_lib.types import Split, State, Trained


def retrain(trained: Trained, forget: Split, retain: Split, *, rng: torch.Generator) -> State:
    """θ_0 trained on the retained samples only, with the private training's own settings (official
    code).

    The order of minibatches is drawn anew from `rng`, as a developer's second training would. Reads
    the retained samples only; N − 1 sample gradients an epoch, which other methods are measured
    against. Without forgotten samples it trains again all the same, without retained ones it gives
    what training gives of none: θ_0 where that takes steps.
    """
    return train(trained, retain, rng=rng)
