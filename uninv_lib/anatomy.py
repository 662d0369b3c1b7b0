"""The last linear layer of a net, and what reaches it: the developer fits it, the attackers read
it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uninv_lib.models import logits
from uninv_lib.types import State


def _last(net: nn.Module, *kinds: type[nn.Module]) -> str | None:
    names: list[str] = [name for name, layer in net.named_modules() if isinstance(layer, kinds)]
    return names[-1] if names else None


def last_linear(net: nn.Module) -> str:
    """The name of the last linear layer, the classifier. Raises ValueError where there is none."""
    name = _last(net, nn.Linear)
    if name is None:
        raise ValueError("net: no linear layer; allowed: a classifier that ends in one")
    return name


def classifier(net: nn.Module) -> str:
    """The name of the layer that gives the logits: the last linear one or convolution, whose
    positions are then pooled.

    The update of its bias is the output error, softmax − onehot, either way. Raises ValueError
    where there is neither.
    """
    name = _last(net, nn.Linear, nn.Conv2d)
    if name is None:
        raise ValueError(
            "net: no linear layer and no convolution; allowed: one of them last, or attack "
            "'paper' with labels"
        )
    return name


def head(net: nn.Module) -> tuple[str, str]:
    """The names of the weight and the bias of the last linear layer.

    Raises ValueError where there is no such layer or it has no bias.
    """
    layer = last_linear(net)
    if net.get_submodule(layer).bias is None:
        raise ValueError(
            "net: its last linear layer has no bias; allowed: a classifier that ends in "
            "Linear with bias"
        )
    return f"{layer}.weight", f"{layer}.bias"


def features_of(net: nn.Module, state: State, layer: str, inputs: Tensor) -> Tensor:
    """What reaches the last linear layer `layer`, (n, features)."""
    caught: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_pre_hook(
        lambda _, given: caught.append(given[0])
    )
    try:
        logits(net, state, inputs)
    finally:
        handle.remove()
    return caught[0]


def joined(state: State, names: tuple[str, str]) -> Tensor:
    """[W, b] of a linear layer, (classes, features + 1), float64 on the CPU."""
    weight, bias = (state[name].detach().cpu().double() for name in names)
    return torch.cat([weight, bias[:, None]], 1)


@torch.no_grad()
def entered(net: nn.Module, state: State, inputs: Tensor) -> Tensor:
    """[h, 1] for each input, h being what reaches the last linear layer: (n, features + 1), float64
    on the CPU.
    """
    layer = last_linear(net)
    parts = [features_of(net, state, layer, part) for part in inputs.split(512)]
    features = torch.cat(parts).cpu().double()
    return torch.cat([features, features.new_ones(len(features), 1)], 1)
