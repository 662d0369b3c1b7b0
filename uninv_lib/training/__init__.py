"""How the developer trains on private samples, a way a file, and `train`, which follows a
recipe.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from uninv_lib.training.converged import converge, converged
from uninv_lib.training.one_epoch import one_epoch
from uninv_lib.training.pretraining import pretrain
from uninv_lib.training.sgd import evaluate, fine_tune, fit, gradient, step
from uninv_lib.types import Recipe, Split, State

__all__ = [
    "TRAINING",
    "converge",
    "evaluate",
    "fine_tune",
    "fit",
    "gradient",
    "pretrain",
    "step",
    "train",
]

TRAINING: dict[str, Callable[..., State]] = {"one_epoch": one_epoch, "converged": converged}
"""(recipe, private, *, rng, options) -> State, by name."""


def train(recipe: Recipe, private: Split, *, rng: torch.Generator) -> State:
    """`recipe.pretrained`, trained on these samples in the way that `recipe.training` names."""
    return TRAINING[recipe.training](recipe, private, rng=rng, **recipe.options)
