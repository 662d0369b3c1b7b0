"""Exact unlearning: train again, from the pretrained model, without the forgotten samples."""

from __future__ import annotations

from typing import Any

import torch

from uninv_lib.training import fine_tune
from uninv_lib.types import Split, State, Trained


def retrain(trained: Trained, forget: Split, retain: Split, *, rng: torch.Generator, **_: Any) -> State:
    """θ_0 fine-tuned on the retained samples only, with the private training's own settings (official code).

    The order of minibatches is drawn anew from `rng`, as a developer's second training would.
    """
    return fine_tune(
        trained.net,
        trained.pretrained,
        retain,
        rng=rng,
        lr=trained.lr,
        epochs=trained.epochs,
        batch_size=trained.batch_size,
    )
