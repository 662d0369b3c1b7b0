"""What the sources share: the cut in three, and pixels as inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from uninv_lib.types import Split

FEWEST = 5
"""Samples of which each part of a cut in halves, three tenths and the rest has one."""


def cut(inputs: Tensor, labels: Tensor, sizes: tuple[int, int]) -> tuple[Split, Split, Split]:
    """Public, private and test samples: the first sizes[0], the next sizes[1] and the rest of one
    fixed shuffle.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    public, private, test = order.tensor_split([sizes[0], sum(sizes)])
    samples = Split(inputs, labels)
    return samples.take(public), samples.take(private), samples.take(test)


def to_inputs(pixels: np.ndarray) -> Tensor:
    """uint8 (n, height, width, channels) -> float32 (n, channels, height, width) in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255
