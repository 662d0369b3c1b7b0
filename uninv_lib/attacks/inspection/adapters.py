"""Adapters of low rank (LoRA, Hu et al. 2022) beside the layers that they adapt, as files keep
them: the net gets them.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear

from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.types import State

PAIR = ("lora_A", "lora_B")


class LowRank(nn.Module):
    """A linear layer's W x + b and, beside it, scale · B A x: A (rank, inputs), B (outputs,
    rank).
    """

    def __init__(self, layer: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.weight, self.bias, self.scale = layer.weight, layer.bias, scale
        self.lora_A = nn.Linear(layer.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, layer.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, ..., inputs) -> (n, ..., outputs)."""
        beside: Tensor = self.lora_B(self.lora_A(x))
        return linear(x, self.weight, self.bias) + self.scale * beside


def adapted(reading: Reading) -> Reading:
    """The net with the adapters that the states hold for its layers.

    Raises ValueError for one of another layer than a linear one, or without its pair.
    """
    view = reading.view
    states: dict[str, Any] = {n: _plain(getattr(view, n)) for n in ("before", "after")}
    pairs = sorted({_layer_of(name) for name in states["after"] if _part_of(name)})
    if not pairs:
        return reading
    net = copy.deepcopy(view.net)
    for name in pairs:
        layer, rank = net.get_submodule(name), _rank(states, name)
        if not isinstance(layer, nn.Linear):
            raise ValueError(
                f"after: adapters of {name!r}, a {type(layer).__name__}; allowed: of nn.Linear"
            )
        parent, _, own = name.rpartition(".")
        setattr(net.get_submodule(parent), own, LowRank(layer, rank, view.lora_scale or 1.0))
    said = f"after: adapters of low rank beside {len(pairs)} layers, {pairs[0]!r} the first"
    if view.lora_scale is None:
        said += "; lora_scale, alpha over the rank, is taken to be 1"
    like = next(view.net.parameters())
    return reading.but(
        said, view=replace(view, net=net.to(like).train(view.net.training), **states)
    )


def _plain(state: State) -> State:
    """The state with the names of adapters as `LowRank` has them, without that of a set of them."""
    return {
        f"{_layer_of(name)}.{_part_of(name)}.weight" if _part_of(name) else name: tensor
        for name, tensor in state.items()
    }


def _part_of(name: str) -> str:
    return next((part for part in PAIR if part in name.split(".")), "")


def _layer_of(name: str) -> str:
    return name.partition(f".{_part_of(name)}")[0]


def _rank(states: dict[str, State], layer: str) -> int:
    """Of a layer's adapters. Raises ValueError where a half of the pair is missing."""
    for part in PAIR:
        for which, state in states.items():
            if f"{layer}.{part}.weight" not in state:
                raise ValueError(f"{which}: no {part} of {layer!r}; allowed: both of {PAIR}")
    return len(states["after"][f"{layer}.{PAIR[0]}.weight"])
