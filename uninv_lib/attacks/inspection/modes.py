"""Whether the net was in train() while it unlearned, read off its running statistics."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import fitting, within
from uninv_lib.attacks.inspection.batches import prepare
from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.models import logits
from uninv_lib.types import State, WhiteBoxView

MOMENTA = (0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Of which the first that gives no negative variance is taken where a layer's own gives one."""


def batch_statistics(reading: Reading) -> Reading:
    """A net whose layers that normalised by the forgotten samples' own statistics do so again, with
    those statistics in the place of the running ones.
    """
    view = reading.view
    layers = {name: layer for name, layer in view.net.named_modules() if _moved(view, name, layer)}
    if not layers:
        return reading
    net = copy.deepcopy(view.net).eval()
    steps = {_steps(view, name) for name in layers}
    counts = _counts(net, view, list(layers))
    before = dict(view.before)
    for name, layer in layers.items():
        found = _statistics(view, name, layer, counts[name])
        before |= found
        each = isinstance(layer, nn.modules.instancenorm._InstanceNorm)
        prepare(net.get_submodule(name), each=each, known=True)
    return reading.but(view=replace(view, net=net, before=before))


def _buffers(name: str) -> tuple[str, str]:
    return within(name, "running_mean"), within(name, "running_var")


def _moved(view: WhiteBoxView, name: str, layer: nn.Module) -> bool:
    """Whether a layer's running statistics are others after."""
    states = view.before, view.after
    return all(n in state for n in _buffers(name) for state in states) and any(
        not torch.equal(view.before[n], view.after[n]) for n in _buffers(name)
    )


def _steps(view: WhiteBoxView, name: str) -> int:
    counter = within(name, "num_batches_tracked")
    return int(view.after[counter] - view.before[counter])


def _counts(net: nn.Module, view: WhiteBoxView, names: list[str]) -> dict[str, int]:
    """Values a channel that a layer saw at once."""
    counts: dict[str, int] = {}
    handles = [
        net.get_submodule(name).register_forward_pre_hook(
            lambda layer, given, name=name: counts.__setitem__(
                name, given[0].numel() // given[0].shape[1]
            )
        )
        for name in names
    ]
    state = fitting(net, view.before)
    like = next(t for t in state.values() if t.is_floating_point())
    with torch.no_grad():
        logits(net, state, like.new_zeros(view.num_forgotten, *view.input_shape))
    for handle in handles:
        handle.remove()
    return counts


def _statistics(view: WhiteBoxView, name: str, layer: nn.Module, count: int) -> dict[str, Tensor]:
    found = {}
    m = layer.momentum
    for n, factor in zip(_buffers(name), (1, (count - 1) / count)):
        before, after = view.before[n].double(), view.after[n].double()
        found[n] = ((before + (after - before) / m) * factor).to(view.before[n])
    return found
