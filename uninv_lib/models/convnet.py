"""The paper's ConvNet."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from uninv_lib.models.normalise import images_only
from uninv_lib.models.parts import Activation, Normalisation, convolution, unit_variance


def convnet(
    shape: tuple[int, ...],
    classes: int,
    *,
    width: Annotated[int, Field(ge=1, le=1024, description="channels of the first layer")] = 16,
    normalisation: Normalisation = "batch",
    activation: Activation = "relu",
) -> list[nn.Module]:
    """The paper's ConvNet: eight 3x3 convolutions with BatchNorm, two max-poolings, one linear
    layer.

    Pooling is 3 as published from 18 pixels on, 2 below (8x8 digits would otherwise shrink to
    nothing).
    """
    images_only("convnet", shape)
    channels, side = [1, 2, 2, 4, 4, 4, 4, 4], min(shape[1:])
    pool, previous, layers = 3 if side >= 18 else 2, shape[0], list[nn.Module]()
    for i, factor in enumerate(channels):
        layers += convolution(previous, factor * width, normalisation, activation)
        layers += [nn.MaxPool2d(pool)] * (i in (5, 7))
        previous = factor * width
    if normalisation != "batch":
        unit_variance(layers, shape)
    with torch.no_grad():
        features = nn.Sequential(*layers, nn.Flatten()).eval()(torch.zeros(1, *shape)).shape[1]
    return [*layers, nn.Flatten(), nn.Linear(features, classes)]
