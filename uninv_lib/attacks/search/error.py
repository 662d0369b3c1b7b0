"""Where the update shows the output error, found by running the net: an ending of anybody's making
may lay something between its last layer and the logits, or use that layer's tensors twice (ours).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import Anatomy, both, fitting, tried
from uninv_lib.models import logits
from uninv_lib.types import State


@dataclass(frozen=True)
class Shown:
    """error: the parameter whose update is the output error, up to scale, None where there is none;
    features: whether that of the last layer's weight is the error times what reaches it.
    """

    error: str | None
    features: bool


def shown(anatomy: Anatomy, state: State) -> Shown:
    """What the update shows of a net with this state.

    Its logits get slopes drawn at random, twice: the parameter whose own slope is their sum, both
    times by one factor, shows the error.
    """
    net, state = anatomy.net, fitting(anatomy.net, state)
    inputs, rng = tried(anatomy.input_shape, state), torch.Generator().manual_seed(0)
    caught: list[Tensor] = []
    last = _last_linear(anatomy)
    handle = last and last.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        free = {n: state[n].detach().requires_grad_() for n, _ in net.named_parameters()}
        with torch.enable_grad():
            output = logits(net, {**state, **free}, inputs)
    finally:
        if handle:
            handle.remove()
    weight, bias = both(anatomy.last) if anatomy.last is not None else ("", "")
    classes = output.shape[-1]
    sought = [n for n in dict.fromkeys((bias, *free)) if n in free and free[n].numel() == classes]
    asked = [*sought, *([weight] if last and weight in free else [])]
    draws = [torch.randn(output.shape, generator=rng).to(output) for _ in range(2)]
    slopes = [_slopes(output, draw, [free[name] for name in asked]) for draw in draws]
    exact = torch.finfo(output.dtype).eps ** 0.4
    factors = [
        [
            _factor(own[i], draw.flatten(0, -2).sum(0), exact)
            for own, draw in zip(slopes, draws, strict=True)
        ]
        for i in range(len(sought))
    ]
    error = next(
        (n for n, (a, b) in zip(sought, factors, strict=True) if a > 0 and abs(a - b) <= exact * a),
        None,
    )
    alone = last is not None and last.out_features == classes
    reached = len(asked) > len(sought) and caught[0].ndim == output.ndim == 2 and len(caught) == 1
    features = alone and reached and _close(slopes[0][-1], draws[0].T @ caught[0], exact)
    return Shown(error, features)


def _last_linear(anatomy: Anatomy) -> nn.Linear | None:
    layer = None if anatomy.last is None else anatomy.net.get_submodule(anatomy.last)
    return layer if isinstance(layer, nn.Linear) else None


def _slopes(output: Tensor, draw: Tensor, asked: list[Tensor]) -> list[Tensor]:
    if not asked or not output.requires_grad:
        return [torch.zeros_like(t) for t in asked]
    found = torch.autograd.grad((output * draw).sum(), asked, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(t) if s is None else s for s, t in zip(found, asked, strict=True)]


def _factor(slope: Tensor, total: Tensor, exact: float) -> float:
    """By which the slope is the total, 0 where it is no multiple."""
    factor = (slope.flatten() @ total / total.square().sum()).item()
    return factor if _close(slope.flatten(), factor * total, exact) else 0.0


def _close(first: Tensor, second: Tensor, exact: float) -> bool:
    same = first.shape == second.shape
    return same and bool((first - second).norm() <= exact * second.norm())
