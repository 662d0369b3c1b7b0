"""Gaussian noise on an update."""

from __future__ import annotations

import torch
from torch import nn

from uninv_lib.types import State


def noisy(
    net: nn.Module, before: State, after: State, strength: float, *, rng: torch.Generator
) -> State:
    """after + Gaussian noise whose norm, over all parameters, is `strength` times that of
    after − before.
    """
    names = [name for name, _ in net.named_parameters()]
    norm = torch.stack([(after[name] - before[name]).norm() for name in names]).norm()
    noise = {name: torch.randn(after[name].shape, generator=rng).to(after[name]) for name in names}
    length = torch.stack([n.norm() for n in noise.values()]).norm()
    return {
        name: t + strength * norm / length * noise[name] if name in noise else t
        for name, t in after.items()
    }
