"""The paper's private training: SGD, one epoch of it."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.training.sgd import fine_tune
from uninv_lib.types import Recipe, Recorded, Split, State


def one_epoch(
    recipe: Recipe,
    private: Split,
    *,
    rng: torch.Generator,
    history: list[Recorded] | None = None,
    private_epochs: Annotated[
        int, Field(ge=1, le=1000, description="passes over the private samples")
    ] = 1,
) -> State:
    """SGD from θ_0 by the recipe's rate and batch size; one epoch, as published, or more."""
    return fine_tune(
        recipe.net,
        recipe.pretrained,
        private,
        rng=rng,
        lr=recipe.lr,
        epochs=private_epochs,
        batch_size=recipe.batch_size,
        history=history,
    )
