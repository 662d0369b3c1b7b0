"""A small vision transformer."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from uninv_lib.models.normalise import images_only


class Patches(nn.Module):
    """(n, channels, height, width) -> (n, 1 + patches, dim): a class token, then each patch, with a
    learned position each.
    """

    def __init__(self, channels: int, patches: int, patch: int, dim: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, dim, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.position = nn.Parameter(0.02 * torch.randn(1, 1 + patches, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Of pictures that the patches cover."""
        x = self.embed(x).flatten(2).mT
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position


class First(nn.Module):
    """(n, tokens, dim) -> (n, dim), the class token."""

    def forward(self, x: Tensor) -> Tensor:
        """What the logits are made of."""
        return x[:, 0]


def vit(
    shape: tuple[int, ...],
    classes: int,
    *,
    patch: Annotated[int, Field(ge=1, le=64, description="side of a patch in pixels")] = 4,
    dim: Annotated[int, Field(ge=1, le=1024, description="numbers that stand for a patch")] = 64,
    depth: Annotated[int, Field(ge=1, le=24, description="blocks of attention")] = 4,
    heads: Annotated[int, Field(ge=1, le=16, description="heads of attention; divides dim")] = 4,
) -> list[nn.Module]:
    """A vision transformer (Dosovitskiy et al. 2021) without dropout: learned positions, a class
    token, normalisation in front of attention and of the hidden layer, GELU.

    Raises ValueError where patches do not cover the picture, or heads do not divide dim.
    """
    images_only("vit", shape)
    height, wide = shape[1:]
    if height % patch or wide % patch:
        allowed = [side for side in range(1, 65) if height % side == wide % side == 0]
        raise ValueError(f"patch: {patch} of pictures {height}x{wide}; allowed: {allowed}")
    if dim % heads:
        raise ValueError(f"heads: {heads} of dim {dim}; allowed: a divisor of dim")
    blocks = [
        nn.TransformerEncoderLayer(
            dim, heads, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True
        )
        for _ in range(depth)
    ]
    patches = (height // patch) * (wide // patch)
    start = Patches(shape[0], patches, patch, dim)
    return [start, *blocks, nn.LayerNorm(dim), First(), nn.Linear(dim, classes)]
