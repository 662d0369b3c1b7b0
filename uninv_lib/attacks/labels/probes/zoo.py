"""Probes by probabilities alone: the gradient by differences (ZOO, Chen et al. 2017)."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from uninv_lib.attacks.labels.probes.downhill import CONFIDENCE, downhill, margin
from uninv_lib.attacks.session import Session
from uninv_lib.types import BlackBoxView, Predict

REACH = 0.05
"""Between an input and where it is asked beside (ours)."""


def zoo(
    view: BlackBoxView, count: int, *, session: Session, iterations: int = 60, lr: float = 0.1
) -> Tensor:
    """As published in black box."""
    return downhill(view, count, session, by_differences, CONFIDENCE, iterations, lr)


def by_differences(
    predict: Predict, inputs: Tensor, labels: Tensor, rng: torch.Generator
) -> Tensor:
    """The margin's gradient by symmetric differences along random coordinates, as `inputs`.

    For images the coordinates are those of an 8-pixel grid, enlarged, which is ZOO's reduction of
    dimension; a quarter of the coordinates (at most 48) is asked at a time, two answers each.
    """
    shape = inputs.shape[1:]
    small = shape if len(shape) == 1 else (shape[0], min(8, shape[1]), min(8, shape[2]))
    picked = torch.randperm(prod(small), generator=rng)[: min(48, max(1, prod(small) // 4))]
    directions = torch.eye(prod(small))[picked].reshape(-1, *small)
    if len(shape) == 3:
        directions = interpolate(directions, size=shape[1:], mode="bilinear")
    directions = directions.to(inputs)
    slope = torch.zeros_like(inputs)
    for i, (x, label) in enumerate(zip(inputs, labels, strict=True)):
        asked = torch.cat([x + REACH * directions, x - REACH * directions]).clamp(0, 1)
        values = margin(predict(asked), label.expand(len(asked)))
        difference = (values[: len(directions)] - values[len(directions) :]) / (2 * REACH)
        slope[i] = (difference.reshape(-1, *[1] * len(shape)) * directions).sum(0)
    return slope
