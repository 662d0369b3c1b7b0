"""Operators without a second derivative, which the search takes, as compositions that have one.

Attention runs by its mathematical kernel and nn.MultiheadAttention by its slow path; what a net
calls of `COMPOSED` is replaced, and a net that calls none runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    lengths: Tensor = torch.linalg.vector_norm(away, p, dim=-1)
    return lengths


COMPOSED: Mapping[Callable[..., Any], Callable[..., Any]] = {
    functional.hardsigmoid: _hardsigmoid,
    torch.cdist: _cdist,
    torch.pdist: _pdist,
    functional.pdist: _pdist,
}
"""All that torch.nn.functional has without a second derivative, beside attention and what takes
integers; tried one by one."""


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
        self.used |= func in COMPOSED
        return COMPOSED.get(func, func)(*args, **(kwargs or {}))


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
