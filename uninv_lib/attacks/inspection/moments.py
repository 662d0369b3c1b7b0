"""The mean and variance of the forgotten samples in front of every layer that kept running
statistics of them, out of those (ours).

A layer in train() moves them to r_after = (1 − m) r_before + m · batch, so both models together
tell the batch's own exactly. Of k steps on the same samples it is the same with 1 − (1 − m)^k, but
for what the steps themselves changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import fitting, within
from uninv_lib.models import logits
from uninv_lib.types import WhiteBoxView

MOMENTA = (0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Where a layer's own momentum gives negative variances, the first of these that gives none."""
NEGATIVE = -1e-3
"""What rounding may make of a variance of 0, in units of the running one."""


@dataclass(frozen=True)
class Moments:
    """state: the running statistics of each layer that moved, replaced by the samples' mean and
    (biased) variance; steps: that the layers counted.
    """

    state: Mapping[str, Tensor]
    layers: tuple[str, ...]
    steps: int
    remarks: tuple[str, ...]


def moments_of(view: WhiteBoxView, layers: Mapping[str, nn.Module]) -> Moments:
    """What these layers of the view's net tell of the forgotten samples.

    layers: by name, those with running statistics. Raises ValueError where one of them saw a single
    value a channel, of which no variance is known.
    """
    moved = {name: layer for name, layer in layers.items() if _moved(view, name)}
    steps = max((_steps(view, name, layer) for name, layer in moved.items()), default=0)
    if not moved:
        return Moments({}, (), 0, ())
    if steps < 1 or (view.pretrained is not None and view.private_size is not None):
        told = "net: its running statistics moved, but not by steps on the forgotten samples; "
        return Moments({}, (), 0, (told + "taken to have been in eval()",))
    counts = _counts(view, moved)
    shares, remarks = _shares(view, moved, steps)
    state = dict[str, Tensor]()
    for name in moved:
        mean, variance = _batch(view, name, shares[name])
        unbiased = counts[name] / (counts[name] - 1)
        for n, value in zip(names_of(name), (mean, variance.clamp_min(0) / unbiased), strict=True):
            state[n] = value.to(view.before[n])
    told = (
        f"net: in train() while it unlearned; the running statistics of {len(moved)} layers tell "
        "the forgotten samples' mean and variance there"
    )
    if steps > 1:
        told += f", mixed over {steps} steps"
    return Moments(state, tuple(moved), steps, (told, *remarks))


def names_of(layer: str) -> tuple[str, str]:
    """The names of a layer's running mean and variance."""
    return within(layer, "running_mean"), within(layer, "running_var")


def _moved(view: WhiteBoxView, name: str) -> bool:
    return any(
        n in view.before and n in view.after and not torch.equal(view.before[n], view.after[n])
        for n in names_of(name)
    )


def _steps(view: WhiteBoxView, name: str, layer: nn.Module) -> int:
    """How often the layer was called between the two models; once, where it does not count, as
    InstanceNorm.
    """
    counter = within(name, "num_batches_tracked")
    if takes_each(layer) or counter not in view.before or counter not in view.after:
        return view.unlearning_steps or 1
    return int(view.after[counter] - view.before[counter])


def _counts(view: WhiteBoxView, layers: Mapping[str, nn.Module]) -> dict[str, int]:
    """The values of a channel that each layer normalised together."""
    counts: dict[str, int] = {}

    def noting(name: str, alone: bool) -> torch.utils.hooks.RemovableHandle:
        def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            shape = given[0].shape
            counts[name] = shape[2:].numel() * (1 if alone else shape[0])

        return layers[name].register_forward_pre_hook(note)

    handles = [noting(name, takes_each(layer)) for name, layer in layers.items()]
    state = fitting(view.net, view.before)
    like = next(t for t in state.values() if t.is_floating_point())
    try:
        with torch.no_grad():
            logits(view.net, state, like.new_zeros(view.num_forgotten, *view.input_shape))
    finally:
        for handle in handles:
            handle.remove()
    for name, count in counts.items():
        if count < 2:
            raise ValueError(
                f"num_forgotten: {view.num_forgotten}; allowed: 2 or more, where {name!r} moved "
                "its running statistics and sees one value a channel of each sample"
            )
    return counts


def takes_each(layer: nn.Module) -> bool:
    """Whether a layer normalises every sample alone."""
    return isinstance(layer, (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d))


def _batch(view: WhiteBoxView, name: str, share: float) -> tuple[Tensor, Tensor]:
    """(mean, unbiased variance), float64, of what moved a layer's running ones by this share."""
    both = ((view.before[n].double(), view.after[n].double()) for n in names_of(name))
    mean, variance = (before + (after - before) / share for before, after in both)
    return mean, variance


def _shares(
    view: WhiteBoxView, layers: Mapping[str, nn.Module], steps: int
) -> tuple[dict[str, float], list[str]]:
    """The share of the samples in each layer's statistics after; what must be said of it."""
    own = {name: _share(view, name, layer.momentum, steps) for name, layer in layers.items()}
    wrong = [name for name, share in own.items() if not _possible(view, name, share)]
    if not wrong:
        return own, []
    for momentum in MOMENTA:
        other = {name: _share(view, name, momentum, steps) for name in layers}
        if all(_possible(view, name, share) for name, share in other.items()):
            told = f"net: the momentum of {wrong[0]!r} gives negative variances; taken: {momentum}"
            return other, [told]
    return own, [f"net: no momentum explains how the statistics of {wrong[0]!r} moved"]


def _share(view: WhiteBoxView, name: str, momentum: object, steps: int) -> float:
    if momentum is None:  # the mean of all batches so far
        return steps / int(view.after[within(name, "num_batches_tracked")])
    return 1 - (1 - float(momentum)) ** steps  # type: ignore[arg-type]


def _possible(view: WhiteBoxView, name: str, share: float) -> bool:
    least = NEGATIVE * view.before[names_of(name)[1]].double()
    return bool((_batch(view, name, share)[1] >= least).all())
