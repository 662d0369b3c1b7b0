"""Layers that normalise by their batch's statistics, as a net in train() does: what the batch was
is in their buffers, and a gradient runs through it (ours).

A layer in train() moves its running statistics to r_after = (1 − m) r_before + m · batch, so both
states together tell the batch's mean and variance in front of every such layer, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from uninv_lib.models import logits
from uninv_lib.types import State


@dataclass
class _Run:
    """own: whether layers normalise by what enters them; away: how far that is from the known, a
    number a layer.
    """

    own: bool
    away: list[Tensor]


_RUN: ContextVar[_Run | None] = ContextVar("run", default=None)


@contextmanager
def _running(run: _Run) -> Iterator[None]:
    token = _RUN.set(run)
    try:
        yield
    finally:
        _RUN.reset(token)


def by_own_statistics() -> AbstractContextManager[None]:
    """Within, prepared layers normalise by the statistics of what enters them, as in train();
    without, by the known ones, which is the same for the forgotten samples and takes every sample
    alone.
    """
    return _running(_Run(True, []))


def statistics_cost(net: nn.Module, point: State, inputs: Tensor) -> Tensor | float:
    """How far what enters the prepared layers is from their known mean and deviation, in units of
    the deviation, averaged; 0 where no layer is prepared.
    """
    if not prepared(net):
        return 0.0
    run = _Run(False, [])
    with _running(run):
        logits(net, point, inputs)
    return torch.stack(run.away).mean() if run.away else 0.0


def prepare(layer: nn.Module, *, each: bool, known: bool) -> None:
    """Makes a layer of a net that is ours normalise so. each: by every sample's own statistics, as
    InstanceNorm; known: whether its buffers hold those of the forgotten samples.
    """
    layer.forward = partial(_within, layer.forward, each, known)


def prepared(net: nn.Module) -> bool:
    """Whether a layer of the net is so."""
    own = (vars(layer).get("forward") for layer in net.modules())
    return any(isinstance(forward, partial) and forward.func is _within for forward in own)


def _within(
    forward: Callable[..., Tensor], each: bool, known: bool, *inputs: Any, **options: Any
) -> Tensor:
    with _Instead(each, known):
        return forward(*inputs, **options)


class _Instead(TorchFunctionMode):
    """Takes the place of torch's own normalisations, whatever kind of layer calls them."""

    def __init__(self, each: bool, known: bool) -> None:
        super().__init__()
        self.each, self.known = each, known

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func not in (functional.batch_norm, functional.instance_norm):
            return func(*args, **(kwargs or {}))
        return _normalised(self.each, self.known, *args, **(kwargs or {}))


def _normalised(
    each: bool,
    known: bool,
    values: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *_: object,
    eps: float = 1e-5,
    **__: object,
) -> Tensor:
    shape = (1, -1, *[1] * (values.ndim - 2))
    axes = [i for i in range(values.ndim) if i != 1 and not (each and i == 0)]
    run = _RUN.get()
    mean = values.mean(axes, keepdim=True)
    variance = (values - mean).square().mean(axes, keepdim=True)
    if known and running_mean is not None and running_var is not None:
        given = running_mean.reshape(shape), running_var.reshape(shape)
        if run is not None and not run.own:
            run.away.append(_away((mean, variance), given, eps))
        if run is None or not run.own:
            mean, variance = given
    normal = (values - mean) * (variance + eps).rsqrt()
    if weight is not None:
        normal = normal * weight.reshape(shape)
    return normal if bias is None else normal + bias.reshape(shape)


def _away(found: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor], eps: float) -> Tensor:
    deviation, aim = (found[1] + eps).sqrt(), (given[1] + eps).sqrt()
    away: Tensor = ((found[0] - given[0]).abs() + (deviation - aim).abs()).sum() / aim.sum()
    return away
