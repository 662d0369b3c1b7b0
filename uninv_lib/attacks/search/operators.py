"""Operators whose second derivative is missing or wrong, as compositions that have one: the search
takes it.

Attention runs by its mathematical kernel and nn.MultiheadAttention by its slow path; what a net
calls of `COMPOSED` is replaced, and a net that calls none runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    given: Tensor = functional.relu6(input + 3) / 6
    return input.copy_(given) if inplace else given


def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: object = None) -> Tensor:
    return _lengths(x1[..., :, None, :] - x2[..., None, :, :], p)


def _pdist(input: Tensor, p: float = 2.0) -> Tensor:
    first, second = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return _lengths(input[first] - input[second], p)


def _lengths(away: Tensor, p: float) -> Tensor:
    """Of the last dimension; a vector of zeros has length 0 and no slope."""
    none = (away == 0).all(-1)
    lengths: Tensor = torch.linalg.vector_norm(away.masked_fill(none[..., None], 1), p, dim=-1)
    return lengths.masked_fill(none, 0)


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    plain = functional.layer_norm(input, normalized_shape, eps=eps)
    return _scaled(plain, weight, bias)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    plain = functional.instance_norm(
        input, running_mean, running_var, None, None, use_input_stats, momentum, eps
    )
    return _scaled(plain, *_by_channel(input, weight, bias))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return functional.batch_norm(
            input, running_mean, running_var, weight, bias, False, momentum, eps
        )
    plain = functional.batch_norm(input, running_mean, running_var, None, None, True, momentum, eps)
    return _scaled(plain, *_by_channel(input, weight, bias))


def _by_channel(input: Tensor, *parts: Tensor | None) -> list[Tensor | None]:
    shape = -1, *[1] * (input.ndim - 2)
    return [None if part is None else part.reshape(shape) for part in parts]


def _scaled(values: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    values = values if weight is None else values * weight
    return values if bias is None else values + bias


COMPOSED: Mapping[Callable[..., Any], Callable[..., Any]] = {
    functional.hardsigmoid: _hardsigmoid,
    torch.cdist: _cdist,
    torch.pdist: _pdist,
    functional.pdist: _pdist,
    functional.layer_norm: _layer_norm,
    functional.instance_norm: _instance_norm,
    functional.batch_norm: _batch_norm,
}
"""All that torch.nn.functional has without a second derivative, beside attention and what takes
integers; and the norms whose second derivative torch.func.vmap gets wrong where they have a weight
(torch 2.13, without a word). Each operator was held against finite differences."""


class _Composing(TorchFunctionMode):
    """used: whether anything was replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.used = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        self.used |= func in COMPOSED and named.get("training", True)
        return COMPOSED.get(func, func)(*args, **named)


@contextmanager
def twice_differentiable(run: Callable[[], object]) -> Iterator[None]:
    """A context in which what `run` calls has a second derivative; `run` is tried once, for what it
    needs.

    An operator that a function of torch calls within itself is not seen, but for attention.
    """
    slow = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), _Composing() as tried:
            run()
        with sdpa_kernel(SDPBackend.MATH), _Composing() if tried.used else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(slow)
