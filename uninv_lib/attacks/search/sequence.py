"""A net as one sequence of its layers and blocks, so that it can be cut between any two (ours)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def in_sequence(net: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """The same function, and {name there: name in `net`} of every parameter and buffer.

    Opens nn.Sequential and torchvision's ResNets, one in the other; any other net stays as it is.
    """
    if not isinstance(net, nn.Sequential):
        return net, {name: name for name in net.state_dict()}
    stages = list(_stages(net, ""))
    names = {
        f"{i}.{n}": prefix + n
        for i, (prefix, layer) in enumerate(stages)
        for n in layer.state_dict()
    }
    return nn.Sequential(*(layer for _, layer in stages)).train(net.training), names


def _stages(layer: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """What runs one after another in `layer`, and what the names inside it begin with."""
    residual = type(layer).__name__ == "ResNet"  # by name: torchvision may be absent
    if not residual and not isinstance(layer, nn.Sequential):
        yield prefix, layer
        return
    for name, part in layer.named_children():
        if residual and name == "fc":
            yield prefix, nn.Flatten()
        yield from _stages(part, f"{prefix}{name}.")
