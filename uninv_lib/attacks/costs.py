"""What the dummy samples must minimise: distances of gradients, the prior, and the gradient itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from uninv_lib.models import logits
from uninv_lib.types import State


def cosine_cost(slopes: list[Tensor], target: list[Tensor]) -> Tensor:
    """1 − cosine similarity of two gradients over all parameters (eq. 5), in [0, 2]."""
    product = sum((s * t).sum() for s, t in zip(slopes, target, strict=True))
    lengths = torch.as_tensor(sum(s.square().sum() for s in slopes) * sum(t.square().sum() for t in target))
    cost: Tensor = 1 - product / lengths.clamp_min(torch.finfo(target[0].dtype).tiny).sqrt()
    return cost


def relative_cost(slopes: list[Tensor], target: list[Tensor]) -> Tensor:
    """Sum of absolute differences over sum of absolute targets, averaged over the tensors; 0 where they agree.

    Unlike the cosine it sees the scale, which a known output error fixes, and every layer counts the same (ours).
    """
    pairs = [(s, t) for s, t in zip(slopes, target, strict=True) if t.any()]
    cost: Tensor = torch.stack([(s - t).abs().sum() / t.abs().sum() for s, t in pairs]).mean()
    return cost


def angle_cost(slopes: list[Tensor], target: list[Tensor]) -> Tensor:
    """1 − cosine similarity, tensor by tensor, averaged; in [0, 2] (ours)."""
    pairs = [(s, t) for s, t in zip(slopes, target, strict=True) if t.any()]
    return torch.stack([cosine_cost([s], [t]) for s, t in pairs]).mean()


def total_variation(inputs: Tensor) -> Tensor:
    """Sum of absolute differences of neighbouring pixels (eq. 6), (n,), averaged over channels, in units of 1,024
    pixels: for 32x32 images about the mean that the official code takes. 0 for tables."""
    if inputs.ndim < 4:
        return inputs.new_zeros(len(inputs))
    down = (inputs[..., 1:, :] - inputs[..., :-1, :]).abs().flatten(1).sum(1)
    right = (inputs[..., 1:] - inputs[..., :-1]).abs().flatten(1).sum(1)
    return (down + right) / (inputs.shape[1] * 1024)


def dummy_gradient(net: nn.Module, point: State, objective: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """∇', the gradient in all parameters at `point` of objective(logits of the dummy inputs) (eq. 3)."""
    parameters = {name: point[name].detach().requires_grad_() for name, _ in net.named_parameters()}
    value = objective(logits(net, {**point, **parameters}, x))
    return list(torch.autograd.grad(value, list(parameters.values()), create_graph=True))
