"""What rounding left of the update: both models are known to the precision of their format alone
(ours).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from uninv_lib.anatomy import within
from uninv_lib.attacks.inspection.result import Moved, Reading
from uninv_lib.types import State, WhiteBoxView

FORMATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
"""Of numbers, the coarsest first."""
HALVES = FORMATS[:2]


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
        layers.setdefault(_layer(name), []).append(name)
    found = []
    for layer, names in layers.items():
        change = _length(after[n] - before[n] for n in names)
        if change:
            own, rounding = (_length(part[n] for n in names) for part in (before, noise))
            found.append(Moved(layer, change / max(own, 1e-30), change / rounding))
    return found


def rounded(reading: Reading) -> Reading:
    """Both states as numbers to compute with, the noise of their update, and which layers moved and
    stand above it; entries below the noise weigh nothing in the others.
    """
    view, said = _computable(reading.view)
    names = [
        name
        for name, own in view.net.named_parameters()
        if all(name in s and s[name].shape == own.shape for s in (view.before, view.after))
    ]
    noise = {name: noise_of(view.before[name], view.after[name]) for name in names}
    layers = moved(view.before, view.after, noise)
    drowned = [layer.name for layer in layers if layer.above < 1]
    if drowned:
        above = len(layers) - len(drowned)
        said.append(
            f"the update drowned in rounding: {above} of {len(layers)} layers stand above it"
        )
        if not above:
            said.append(
                "nothing is left to find but the label, at best: no other search would help"
            )
    weights, lost = _weights(view, noise, drowned), len(drowned) == len(layers) > 0
    said += _still(layers, names) + _few(view, layers, noise)
    return reading.but(
        *said, view=view, noise=noise, weights=weights, drowned=lost, moved=tuple(layers)
    )


def _weights(view: WhiteBoxView, noise: State, drowned: list[str]) -> State | None:
    """The view's own, and 0 for what did not move in a layer that drowned in a half's rounding;
    None where all counts alike.
    """
    change = {name: (view.after[name] - view.before[name]).abs() for name in noise}
    lost = [
        name
        for name, c in change.items()
        if _layer(name) in drowned and c.any() and format_of(view.after[name]) in HALVES
    ]
    given = view.weights or {}
    if not lost:
        return view.weights
    return {
        name: ((c > noise[name]).to(c) if name in lost else torch.ones_like(c)) * given.get(name, 1)
        for name, c in change.items()
    }


def _still(layers: list[Moved], names: list[str]) -> list[str]:
    """What to say where a part of the layers did not move."""
    still = [
        name for name in dict.fromkeys(map(_layer, names)) if name not in {m.name for m in layers}
    ]
    if not layers or not still:
        return []
    if len(layers) > 1:
        which = f"{len(layers)} of {len(layers) + len(still)} layers moved"
        return [
            f"{which}; the update tells nothing of {still[0]!r}" + " and others" * (len(still) > 1)
        ]
    return [f"only {layers[0].name!r} moved: the picture is found from its update alone"]


def _few(view: WhiteBoxView, layers: list[Moved], noise: State) -> list[str]:
    """What to say where fewer numbers moved than a sample has: of one linear layer alone, what
    entered it is all that is told.
    """
    change = {name: view.after[name] - view.before[name] for name in noise}
    weight = change.get(within(layers[0].name, "weight")) if len(layers) == 1 else None
    if weight is not None and weight.ndim == 2 and weight.any():
        told = weight.shape[1]
    else:
        told = sum(int(c.count_nonzero()) for c in change.values()) // view.num_forgotten
    if not 0 < told < prod(view.input_shape):
        return []
    return [
        f"the update tells {told} numbers of a sample's {prod(view.input_shape)}: many pictures "
        "fit it, and the one that is found is one of them"
    ]


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _computable(view: WhiteBoxView) -> tuple[WhiteBoxView, list[str]]:
    """The same in float32 where it came in less, and what to say of it."""
    net = dict(view.net.named_parameters())
    states = (net, view.before, view.after, view.pretrained or {})
    small = {t.dtype for state in states for t in state.values()} & set(HALVES)
    if not small:
        return view, []
    wide = replace(
        view,
        net=copy.deepcopy(view.net).float(),
        before=_wide(view.before),
        after=_wide(view.after),
        pretrained=None if view.pretrained is None else _wide(view.pretrained),
        public=None if view.public is None else view.public.float(),
    )
    kinds = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in small))
    return wide, [f"numbers came in {kinds}; the attack computes in float32"]


def _wide(state: State) -> Mapping[str, Tensor]:
    return {name: t.float() if t.dtype in HALVES else t for name, t in state.items()}


def _length(parts: Iterable[Tensor]) -> float:
    length: float = torch.stack([part.double().norm() for part in parts]).norm().item()
    return length
