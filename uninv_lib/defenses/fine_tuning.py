"""Fine-tuning: some more training on the retained samples before release."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.training import fine_tune
from uninv_lib.types import Split, State, Trained


def fine_tuning(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[int, Field(ge=1, le=10**6, description="epochs", examples=[1, 5, 20])],
) -> State:
    """unlearned, fine-tuned for `strength` epochs on the retained samples, at the private
    training's rate.

    Raises ValueError for a part of an epoch.
    """
    if strength < 0 or strength != int(strength):
        raise ValueError(f"strength: {strength:g}; allowed for fine_tuning: whole epochs from 0")
    epochs, batch_size = int(strength), trained.batch_size
    return fine_tune(
        trained.net, unlearned, retain, rng=rng, lr=trained.lr, epochs=epochs, batch_size=batch_size
    )
