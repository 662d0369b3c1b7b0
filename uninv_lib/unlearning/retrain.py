"""Exact unlearning: train again, from the pretrained model, without the forgotten samples."""

from __future__ import annotations

from typing import Any

import torch

from uninv_lib.private_training import train_privately
from uninv_lib.types import Split, State, Trained


def retrain(
    trained: Trained, forget: Split, retain: Split, *, rng: torch.Generator, **_: Any
) -> State:
    """θ_0 trained on the retained samples only, with the private training's own settings (official
    code).

    The order of minibatches is drawn anew from `rng`, as a developer's second training would.
    """
    return train_privately(trained, retain, rng=rng)
