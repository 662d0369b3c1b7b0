"""Softmax regression."""

from __future__ import annotations

from math import prod

from torch import nn


def linear(shape: tuple[int, ...], classes: int) -> list[nn.Module]:
    """One linear layer."""
    return [nn.Flatten(), nn.Linear(prod(shape), classes)]
