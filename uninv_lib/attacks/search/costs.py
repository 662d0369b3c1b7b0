"""What the dummy samples must minimise: distances of gradients, the prior, and the gradient
itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from uninv_lib.attacks.inspection.batches import by_own_statistics, prepared
from uninv_lib.models import logits
from uninv_lib.types import State

Measure = Callable[[list[Tensor], list[Tensor]], Tensor]
"""(slopes, target), tensor by tensor -> how far they are from each other."""


def cosine_cost(slopes: list[Tensor], target: list[Tensor]) -> Tensor:
    """1 − cosine similarity of two gradients over all parameters (eq. 5), in [0, 2]."""
    product = sum((s * t).sum() for s, t in zip(slopes, target, strict=True))
    lengths = torch.as_tensor(
        sum(s.square().sum() for s in slopes) * sum(t.square().sum() for t in target)
    )
    cost: Tensor = 1 - product / lengths.clamp_min(torch.finfo(target[0].dtype).tiny).sqrt()
    return cost


def _mean_of_changed(costs: list[Tensor], target: list[Tensor]) -> Tensor:
    """The mean over the tensors that have a target at all."""
    changed = torch.stack([t.abs().sum() > 0 for t in target])
    return torch.stack(costs).where(changed, 0).sum() / changed.sum()


def relative_cost(slopes: list[Tensor], target: list[Tensor]) -> Tensor:
    """Sum of absolute differences over sum of absolute targets, averaged over the tensors; 0 where
    they agree.

    Unlike the cosine it sees the scale, which a known output error fixes, and every layer counts
    the same (ours).
    """
    tiny, pairs = torch.finfo(target[0].dtype).tiny, zip(slopes, target, strict=True)
    return _mean_of_changed(
        [(s - t).abs().sum() / t.abs().sum().clamp_min(tiny) for s, t in pairs], target
    )


def squared_cost(slopes: list[Tensor], target: list[Tensor]) -> Tensor:
    """The same with squares, which lead there from afar (ours)."""
    tiny, pairs = torch.finfo(target[0].dtype).tiny, zip(slopes, target, strict=True)
    return _mean_of_changed(
        [(s - t).square().sum() / t.square().sum().clamp_min(tiny) for s, t in pairs], target
    )


def angle_cost(slopes: list[Tensor], target: list[Tensor]) -> Tensor:
    """1 − cosine similarity, tensor by tensor, averaged; in [0, 2] (ours)."""
    return _mean_of_changed(
        [cosine_cost([s], [t]) for s, t in zip(slopes, target, strict=True)], target
    )


def sign_cost(slopes: list[Tensor], signs: list[Tensor]) -> Tensor:
    """1 − the share of a gradient that has these signs, less what has the others, tensor by tensor,
    averaged; in [0, 2], 0 where all agree (ours).
    """
    tiny, pairs = torch.finfo(signs[0].dtype).tiny, zip(slopes, signs, strict=True)
    return _mean_of_changed(
        [1 - (s * t).sum() / s.abs().sum().clamp_min(tiny) for s, t in pairs], signs
    )


def total_variation(inputs: Tensor) -> Tensor:
    """Sum of absolute differences of neighbouring pixels (eq. 6), (n,), averaged over channels, in
    units of 1,024 pixels: for 32x32 images about the mean that the official code takes. 0 for
    tables.
    """
    if inputs.ndim < 4:
        return inputs.new_zeros(len(inputs))
    down = (inputs[..., 1:, :] - inputs[..., :-1, :]).abs().flatten(1).sum(1)
    right = (inputs[..., 1:] - inputs[..., :-1]).abs().flatten(1).sum(1)
    return (down + right) / (inputs.shape[1] * 1024)


def dummy_gradient(
    net: nn.Module, point: State, objective: Callable[[Tensor], Tensor], x: Tensor
) -> list[Tensor]:
    """∇', the gradient in all parameters at `point` of objective(logits of the dummy inputs) (eq.
    3).
    """
    parameters = {name: point[name] for name, _ in net.named_parameters()}
    with by_own_statistics() if prepared(net) else nullcontext():
        slopes = torch.func.grad(lambda p: objective(logits(net, {**point, **p}, x)))(parameters)
    return list(slopes.values())
