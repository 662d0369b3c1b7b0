"""Whether the net was in train() while it unlearned, and what follows from that."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from uninv_lib.anatomy import within
from uninv_lib.attacks.inspection.batches import by_own_statistics, prepare
from uninv_lib.attacks.inspection.draws import Mask, drawing, mask_of
from uninv_lib.attacks.inspection.moments import Moments, moments_of, takes_each
from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.models import logits
from uninv_lib.types import State, WhiteBoxView

NOTHING = 1e-10
"""Of the largest gradient, in float64: what rounding makes of none."""


def modes(reading: Reading) -> Reading:
    """A net in eval() that normalises and drops as the one did that unlearned.

    What it did shows in what differs between the two models. A net in eval() is taken to have been
    so, unless its running statistics moved; one in train() likewise, unless it has such and they
    did not. The user's net and states stay as they are.
    """
    view = reading.view
    ours = replace(view, net=copy.deepcopy(view.net).eval())
    norms = {n: m for n, m in ours.net.named_modules() if hasattr(m, "track_running_stats")}
    kept = {n: m for n, m in norms.items() if getattr(m, "running_mean", None) is not None}
    moments = moments_of(ours, kept)
    if moments.steps or _training(view.net) or len(kept) < len(norms):
        reading = _by_batch(reading.but(view=ours), norms, moments)
    stood = any(view.net.get_submodule(name).training for name in kept)
    if moments.steps or (_training(view.net) and not stood):
        reading = _dropped(reading, view.net)
    return reading.but(*moments.remarks)


def _training(net: nn.Module) -> bool:
    return any(layer.training for layer in net.modules())


def _by_batch(reading: Reading, norms: Mapping[str, nn.Module], moments: Moments) -> Reading:
    """With the layers that moved, and those that keep no statistics, normalising by what enters
    them. The net is the reading's own.
    """
    view, one = reading.view, reading.view.num_forgotten == 1
    for name, layer in norms.items():
        known, alone = name in moments.layers, takes_each(layer)
        if known or getattr(layer, "running_mean", None) is None:
            prepare(layer, each=alone or one, known=known and (one or not alone))
    view = replace(view, before={**view.before, **moments.state})
    if moments.steps:
        view = _still(view)
    if moments.steps > 1 and view.unlearning_steps is None:
        view = replace(view, unlearning_steps=moments.steps)
    return reading.but(view=view)


def _still(view: WhiteBoxView) -> WhiteBoxView:
    """Without what rounding moved alone: biases in front of a layer that takes their mean away have
    no gradient, whatever the samples.
    """
    noise = torch.Generator().manual_seed(0)
    x = torch.rand(view.num_forgotten, *view.input_shape, generator=noise, dtype=torch.double)
    state = {n: t.double() if t.is_floating_point() else t for n, t in view.before.items()}
    free = {name: state[name] for name, _ in view.net.named_parameters() if name in state}
    x = x.to(next(iter(free.values())).device)

    def some(parameters: State) -> Tensor:
        given = tree_leaves(logits(view.net, {**state, **parameters}, x))
        return torch.stack([t.square().sum() for t in given if t.is_floating_point()]).sum()

    with by_own_statistics():
        sizes = {name: slope.norm() for name, slope in torch.func.grad(some)(free).items()}
    most = max(sizes.values())
    still = {name: view.before[name] for name, size in sizes.items() if size <= NOTHING * most}
    return replace(view, after={**view.after, **still})


def _dropped(reading: Reading, net: nn.Module) -> Reading:
    """With the masks of dropout that the update shows, and what stands in the way where it does
    not. net: the user's.
    """
    view, before = reading.view, dict(reading.view.before)
    remarks, obstacles = list[str](), list[str]()
    for draw in drawing(_to_spend(net), view.input_shape):
        mask = mask_of(draw, view)
        kind = f"{draw.name!r} ({type(draw.layer).__name__})"
        if mask is None:
            obstacles.append(
                f"net: {kind} drew at random in train(), and no update shows what; allowed: a net "
                "that unlearned in eval(), or one sample and dropout in front of a linear layer"
            )
        else:
            view.net.set_submodule(draw.name, Mask(mask))
            before[within(draw.name, "kept")] = mask
            remarks.append(f"net: what {kind} dropped is read off the update of {draw.behind!r}")
    view = replace(view, before=before)
    return reading.but(*remarks, view=view, obstacles=(*reading.obstacles, *obstacles))


def _to_spend(net: nn.Module) -> nn.Module:
    """A copy in train(), as far as the net is where it is so at all, but for what normalises."""
    own = copy.deepcopy(net)
    if not _training(own):
        own.train()
    for layer in own.modules():
        if hasattr(layer, "track_running_stats"):
            layer.eval()
    return own
