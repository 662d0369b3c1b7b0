"""How the developer trains on private samples, a way a file, and `train`, which follows a
recipe.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from uninv_lib.training.converged import converge, converged
from uninv_lib.training.one_epoch import one_epoch
from uninv_lib.training.pretraining import pretrain
from uninv_lib.training.ridge import ridge
from uninv_lib.training.sgd import evaluate, fine_tune, fit, gradient, moved, slopes_of, step
from uninv_lib.training.sharded import expanded, sharded
from uninv_lib.types import Recipe, Recorded, Split, State

__all__ = [
    "TRAINING",
    "converge",
    "evaluate",
    "fine_tune",
    "fit",
    "fitted",
    "gradient",
    "moved",
    "pretrain",
    "slopes_of",
    "step",
    "train",
]

TRAINING: dict[str, Callable[..., State]] = {
    "one_epoch": one_epoch,
    "converged": converged,
    "ridge": ridge,
    "sharded": sharded,
}
"""(recipe, private, *, rng, history, options) -> State, by name. What is to be kept of the steps is
added to `history`, where one is given."""
EXPANDED: dict[str, Callable[[Recipe], Recipe]] = {"sharded": expanded}
"""Of a training whose net is made of several of the recipe's: that recipe, by name."""


def fitted(recipe: Recipe) -> Recipe:
    """The recipe with the net that its training trains: an ensemble for "sharded", else its own."""
    return EXPANDED[recipe.training](recipe) if recipe.training in EXPANDED else recipe


def train(
    recipe: Recipe,
    private: Split,
    *,
    rng: torch.Generator,
    history: list[Recorded] | None = None,
) -> State:
    """`recipe.pretrained`, trained on these samples in the way that `recipe.training` names."""
    method = TRAINING[recipe.training]
    return method(recipe, private, rng=rng, history=history, **recipe.options)
