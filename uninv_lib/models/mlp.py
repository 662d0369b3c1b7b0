"""The smallest net with a hidden layer."""

from __future__ import annotations

from math import prod
from typing import Annotated

from pydantic import Field
from torch import nn

from uninv_lib.models.parts import ACTIVATIONS, Activation


def mlp(
    shape: tuple[int, ...],
    classes: int,
    *,
    width: Annotated[int, Field(ge=1, le=1024, description="an eighth of the hidden units")] = 16,
    activation: Activation = "relu",
) -> list[nn.Module]:
    """One hidden layer of 8 · width units."""
    return [
        nn.Flatten(),
        nn.Linear(prod(shape), 8 * width),
        ACTIVATIONS[activation](),
        nn.Linear(8 * width, classes),
    ]
