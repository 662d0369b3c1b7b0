"""Layers that draw at random in train(), and what an update shows of what they drew (ours).

Behind dropout stands mostly a linear layer, whose update for one sample is e hᵀ: its columns of
zeros are the features that were dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import both, tried
from uninv_lib.types import WhiteBoxView


class Mask(nn.Module):
    """Stands for dropout whose mask is known; kept: as one sample's input, 0 or the scale."""

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, values: Tensor) -> Tensor:
        """The kept values, scaled."""
        return values * self.kept


@dataclass(frozen=True)
class Draw:
    """A layer that draws; scale: what it makes of a 1 that it keeps, where all that it does is to
    keep or drop; shape: of one sample there; behind: the linear layer that takes all that it gives,
    as a row a sample.
    """

    name: str
    layer: nn.Module
    shape: tuple[int, ...]
    scale: float | None
    behind: str | None


@dataclass(frozen=True)
class _Call:
    name: str
    layer: nn.Module
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    given: Any


def drawing(net: nn.Module, input_shape: tuple[int, ...]) -> list[Draw]:
    """The layers of a net in train() that draw, the innermost ones, found by calling each twice.

    The net is the caller's to spend; no global generator moves.
    """
    calls: list[_Call] = []
    names = {layer: name for name, layer in net.named_modules()}

    def note(layer: nn.Module, args: Any, options: Any, given: Any) -> None:
        calls.append(_Call(names[layer], layer, args, options, given))

    handles = [layer.register_forward_hook(note, with_kwargs=True) for layer in names]
    with torch.no_grad(), torch.random.fork_rng():
        net(tried(input_shape, net.state_dict()))
        for handle in handles:
            handle.remove()
        found = [call for call in calls if _draws(call)]
        return [
            _draw(call, calls)
            for call in found
            if not any(_inside(other.layer, call.layer) for other in found)
        ]


def _inside(layer: nn.Module, other: nn.Module) -> bool:
    return layer is not other and any(layer is part for part in other.modules())


def _draws(call: _Call) -> bool:
    """Whether a call moves a generator."""
    states = []
    for _ in range(2):
        states.append([torch.get_rng_state(), *torch.cuda.get_rng_state_all()])
        call.layer(*call.args, **call.options)
    return any(not torch.equal(first, second) for first, second in zip(*states, strict=True))


def _draw(call: _Call, calls: list[_Call]) -> Draw:
    behind = next((c for c in calls if _takes(c, call.given)), None)
    entered = call.args[0]
    return Draw(
        call.name,
        call.layer,
        tuple(entered.shape[1:]),
        _scale(call.layer, entered),
        None if behind is None else behind.name,
    )


def _takes(call: _Call, given: Tensor) -> bool:
    """Whether a linear layer's rows are what another one gave."""
    if not isinstance(call.layer, nn.Linear) or not isinstance(given, Tensor):
        return False
    return call.args[0].ndim == 2 and torch.equal(call.args[0], given.flatten(1))


def _scale(layer: nn.Module, entered: Tensor) -> float | None:
    """Of what a layer keeps of ones, more than 1; None where it does another thing to them."""
    given = layer(torch.ones_like(entered))
    scale = given.max().item()
    return scale if scale > 1 and bool(((given == 0) | (given == scale)).all()) else None


def mask_of(draw: Draw, view: WhiteBoxView) -> Tensor | None:
    """What one sample's update shows of the mask, in the shape of what enters; None where it does
    not. Features that were 0 anyway count as dropped, which changes no gradient.
    """
    if draw.behind is None or draw.scale is None or view.num_forgotten > 1:
        return None
    weight = both(draw.behind)[0]
    moved = (view.after[weight] != view.before[weight]).any(0)
    return draw.scale * moved.reshape(draw.shape).to(view.before[weight])
