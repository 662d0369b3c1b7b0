"""What the nets share: normalisation and activation by name, and weights to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import gcd
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

NORMALISATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(groups_of(channels), channels),
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
Normalisation = Annotated[
    Literal["none", "batch", "group"],
    Field(description="of a convolution's channels: over the batch, in groups, or none"),
]
Activation = Annotated[Literal["relu", "gelu", "silu"], Field(description="between the layers")]
GROUPS, CHANNELS = 8, 4
"""Groups of GroupNorm at most, and channels of one at least: where pictures are down to one pixel,
a channel alone would be normalised to 0 (ours)."""


def groups_of(channels: int) -> int:
    """Of GroupNorm over so many channels."""
    return gcd(GROUPS, max(1, channels // CHANNELS), channels)


def convolution(
    given: int, made: int, normalisation: Normalisation, activation: Activation
) -> list[nn.Module]:
    """A 3x3 convolution of the same size, normalised and activated."""
    norm = [NORMALISATIONS[normalisation](made)] if normalisation != "none" else []
    return [nn.Conv2d(given, made, 3, padding=1), *norm, ACTIVATIONS[activation]()]


@torch.no_grad()
def unit_variance(layers: Iterable[nn.Module], shape: tuple[int, ...]) -> None:
    """Weights by which each layer keeps the size of what passes it (Mishkin and Matas 2016), biases
    of 0: torch's own shrink it by a factor of 2.4 a layer, and a 3x3 kernel on a picture of one
    pixel by 3 more, which BatchNorm alone makes up for.
    """
    passed = torch.randn(64, *shape)
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.orthogonal_(layer.weight)
            layer.bias.zero_()  # type: ignore[union-attr]
            layer.weight /= layer(passed).std().clamp_min(1e-6)
        passed = layer(passed)
