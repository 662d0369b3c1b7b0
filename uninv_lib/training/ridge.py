"""The private training of Bertran et al. 2024: ridge regression of the last layer, in closed
form.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.anatomy import anatomy_of
from uninv_lib.training.heads import WEIGHT_DECAY, Squares, rows_of, with_head
from uninv_lib.types import Recipe, Recorded, Split, State


def ridge(
    recipe: Recipe,
    private: Split,
    *,
    rng: torch.Generator,
    history: list[Recorded] | None = None,
    weight_decay: Annotated[
        float, Field(gt=0, description="L2 penalty beside the sum of the samples' losses")
    ] = WEIGHT_DECAY,
) -> State:
    """θ_0 with its last linear layer fitted to one-hot targets by ridge regression; nothing is
    drawn.

    Minimises half the sum of the squared errors + weight_decay / 2 · ‖[W, b]‖² (Bertran et al.
    2024); everything in front of the layer stays as it is.
    """
    anatomy = anatomy_of(recipe.net, tuple(private.inputs.shape[1:]), recipe.pretrained)
    rows, names = rows_of(anatomy, recipe.pretrained, private), anatomy.head
    start = torch.zeros(len(recipe.pretrained[names[0]]), rows.shape[1], dtype=torch.double)
    fit = Squares(rows, private.labels.cpu(), len(start), weight_decay)
    return with_head(recipe.pretrained, names, start - fit.newton_step(start))
