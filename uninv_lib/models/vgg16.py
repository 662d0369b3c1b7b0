"""VGG16 (Simonyan and Zisserman 2015), whose fully connected layers are part of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from uninv_lib.models.normalise import images_only
from uninv_lib.models.parts import (
    ACTIVATIONS,
    Activation,
    Normalisation,
    convolution,
    unit_variance,
)

STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of the convolutions in front of each pooling, in units of the width."""
HIDDEN = 64
"""Units of each of the two hidden layers, in units of the width: 4,096 as published."""


def vgg16(
    shape: tuple[int, ...],
    classes: int,
    *,
    width: Annotated[int, Field(ge=1, le=64, description="channels of the first layer")] = 16,
    normalisation: Normalisation = "batch",
    activation: Activation = "relu",
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="share of hidden units dropped in pretraining")
    ] = 0.0,
) -> list[nn.Module]:
    """VGG16: thirteen 3x3 convolutions and five max-poolings, two hidden layers and the last.

    As published at width 64, normalisation none and dropout 0.5; a pooling that would leave nothing
    of a small picture is left out (ours).
    """
    images_only("vgg16", shape)
    previous, sides, layers = shape[0], shape[1:], list[nn.Module]()
    for stage in STAGES:
        for factor in stage:
            layers += convolution(previous, factor * width, normalisation, activation)
            previous = factor * width
        if min(sides) > 1:
            layers.append(nn.MaxPool2d(2))
            sides = tuple(side // 2 for side in sides)
    layers.append(nn.Flatten())
    previous *= sides[0] * sides[1]
    for _ in range(2):
        layers += [nn.Linear(previous, HIDDEN * width), ACTIVATIONS[activation]()]
        layers += [nn.Dropout(dropout)] * bool(dropout)
        previous = HIDDEN * width
    if normalisation != "batch":
        unit_variance(layers, shape)
    return [*layers, nn.Linear(previous, classes)]
