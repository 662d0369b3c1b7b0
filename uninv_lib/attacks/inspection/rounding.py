"""What rounding left of the update: both models are known to the precision of their format alone
(ours).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.types import State, WhiteBoxView

FORMATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
"""Of numbers, the coarsest first."""
HALVES = FORMATS[:2]


@dataclass(frozen=True)
class Moved:
    """A layer that unlearning changed. relative: the length of its change beside that of its
    parameters; above: beside the length of what rounding alone would make of no change.
    """

    name: str
    relative: float
    above: float


def format_of(values: Tensor) -> torch.dtype:
    """The coarsest of FORMATS that holds all the values exactly, whatever type they have now."""
    fitting = (f for f in FORMATS if torch.equal(values.to(f).to(values.dtype), values))
    return next(fitting, values.dtype)


def spacing(values: Tensor, kept: torch.dtype) -> Tensor:
    """Of the numbers of this format, where each of the values stands; of the values' shape and
    type.
    """
    about = torch.finfo(kept)
    _, exponent = torch.frexp(values.abs().clamp_min(about.smallest_normal))
    return torch.ldexp(torch.full_like(values, about.eps), exponent - 1)


def noise_of(before: Tensor, after: Tensor) -> Tensor:
    """The standard deviation of each entry of after − before where both were rounded: spacing/√6.

    A model that was kept in a finer format before and is in one now counts by the finer of the two.
    """
    kept = max(format_of(before), format_of(after), key=FORMATS.index)
    return spacing(torch.maximum(before.abs(), after.abs()), kept) / 6**0.5


def moved(before: State, after: State, noise: State) -> list[Moved]:
    """The layers that changed, by the names of their parameters in `noise`, see `noise_of`."""
    layers: dict[str, list[str]] = {}
    for name in noise:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    found = []
    for layer, names in layers.items():
        change = _length(after[n] - before[n] for n in names)
        if change:
            own, rounding = (_length(part[n] for n in names) for part in (before, noise))
            found.append(Moved(layer, change / max(own, 1e-30), change / rounding))
    return found


def rounded(reading: Reading) -> Reading:
    """Both states as numbers to compute with, the noise of their update, and its weights where it
    counts.
    """
    view = reading.view
    names = [
        name
        for name, own in view.net.named_parameters()
        if all(name in s and s[name].shape == own.shape for s in (view.before, view.after))
    ]
    view, said = _computable(view)
    noise = {name: noise_of(view.before[name], view.after[name]) for name in names}
    import os
    V = os.environ.get("VARIANT", "0")
    if V == "0": w = None
    if V == "mask": w = {n: ((view.after[n]-view.before[n]).abs() > s).float() for n, s in noise.items()}
    if V == "wiener":
        w = {}
        for n, s in noise.items():
            d2 = (view.after[n]-view.before[n]).square().mean()
            w[n] = d2 / (d2 + s**2)
    if V == "inv":
        w = {}
        for n, s in noise.items():
            d2 = (view.after[n]-view.before[n]).square().mean().sqrt()
            w[n] = d2 / (d2 + s)
    if V == "maskulp":
        w = {}
        for n, s in noise.items():
            d2 = (view.after[n]-view.before[n]).square().mean().sqrt()
            w[n] = (s < d2).float()
    if V == "mask2": w = {n: ((view.after[n]-view.before[n]).abs() > 2.45*s).float() for n, s in noise.items()}
    return reading.but(*said, view=view, noise=noise, weights=w)


def _computable(view: WhiteBoxView) -> tuple[WhiteBoxView, list[str]]:
    """The same in float32 where it came in less, and what to say of it."""
    states = {"before": view.before, "after": view.after, "pretrained": view.pretrained or {}}
    net = dict(view.net.named_parameters())
    small = {t.dtype for part in (*states.values(), net) for t in part.values()} & set(HALVES)
    if not small:
        return view, []
    states = {which: _wide(state) for which, state in states.items() if state}
    public = None if view.public is None else view.public.float()
    wide = replace(view, net=copy.deepcopy(view.net).float(), public=public, **states)
    kinds = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in small))
    return wide, [f"numbers came in {kinds}; the attack computes in float32"]


def _wide(state: State) -> Mapping[str, Tensor]:
    return {name: t.float() if t.dtype in HALVES else t for name, t in state.items()}


def _length(parts: Iterable[Tensor]) -> float:
    return torch.stack([part.double().norm() for part in parts]).norm().item()
