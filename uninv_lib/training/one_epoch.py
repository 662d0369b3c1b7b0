"""The paper's private training: an epoch of SGD."""

from __future__ import annotations

import torch

from uninv_lib.training.sgd import fine_tune
from uninv_lib.types import Recipe, Recorded, Split, State


def one_epoch(
    recipe: Recipe,
    private: Split,
    *,
    rng: torch.Generator,
    history: list[Recorded] | None = None,
) -> State:
    """SGD from θ_0 by the recipe's rate, epochs and batch size: one epoch where it says no
    other.
    """
    return fine_tune(
        recipe.net,
        recipe.pretrained,
        private,
        rng=rng,
        lr=recipe.lr,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        history=history,
    )
