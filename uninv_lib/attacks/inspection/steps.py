"""The form of the step that unlearning made, and the gradient behind it (ours).

A plain step moves every entry by the rate times its gradient g; momentum and clipping scale a first
step alone. Adam's first step moves it by rate · g / (|g| + ε): by the rate, whatever the gradient.
What it falls short of the rate, 1 part in 1 + |g| / ε, still tells how large small gradients are,
where it stands above rounding; of the others the sign is left. One sample's gradient in a linear
layer is a column times a row, so a part of its entries gives all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uninv_lib.anatomy import anatomy_of_view, both
from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.types import State, WhiteBoxView, unknown

NEAR, MOST, LAYERS = 0.9, 0.5, 0.75
"""A step goes by signs where so much of what moved, in so much of the tensors, went so near the
farthest."""
ABOVE, EPSILON, AGREE = 5.0, 1e-8, 0.1
"""How many times its rounding a shortfall must be to be read; PyTorch's ε; how well a layer's
entries must fit a column times a row."""
STILL, LEAST, FIT, CLEAR, ALIKE, FINE = 0.02, 32, 3.0, 10.0, 0.1, 1e-5
"""Decay is taken off where so much of a tensor, and so many entries, moved by one multiple of
themselves, to within so many times rounding, by so many times rounding, the tensors agree on the
multiple so well, and rounding is so small beside them: among halves any two entries agree on one.
"""
DIRECTIONS = ("parametrizations.weight.", "weight_v", "weight_g")
"""In names of what makes a weight under weight_norm: there a gradient itself has multiples of the
parameters, row by row."""
OTHER = 0.01
"""The share of the last layer's update from which it is not taken for that of one step on the
forgotten samples."""


def stepped(reading: Reading) -> Reading:
    """`after` as a plain step would have made it, as far as `view.step` or the update tells.

    Raises ValueError for a step that is none of STEPS.
    """
    step = reading.view.step
    if step is not None and step not in STEPS:
        raise ValueError(unknown("view.step", step, STEPS))
    if reading.drowned or not any(change.any() for change in _changes(reading).values()):
        return reading
    reading = _without_decay(reading)
    return STEPS[step or ("adam" if _by_signs(reading) else "plain")](reading)


def _changes(reading: Reading) -> dict[str, Tensor]:
    view = reading.view
    return {n: view.after[n].double() - view.before[n].double() for n in reading.noise}


def _changed(reading: Reading, change: State, *said: str, **more: object) -> Reading:
    """The same with this change between both models, in float64 so that nothing is rounded off."""
    before = reading.view.before
    after = {**reading.view.after, **{n: before[n].double() + c for n, c in change.items()}}
    return reading.but(*said, view=replace(reading.view, after=after), **more)


# Plain


def _plain(reading: Reading) -> Reading:
    """With a remark where the last layer says that there were more samples than the forgotten."""
    view = reading.view
    last, count = anatomy_of_view(view).last, view.num_forgotten
    noise = None if last is None else reading.noise.get(both(last)[0])
    told = view.unlearning_steps is not None or view.pretrained is not None
    if last is None or noise is None or noise.ndim != 2 or told or count >= min(noise.shape):
        return reading
    sizes = torch.linalg.svdvals(_changes(reading)[both(last)[0]])
    rest = sizes[count:].norm()
    share = (rest / sizes.norm().clamp_min(1e-300)).item()
    if share < OTHER or rest < CLEAR * noise.double().norm():
        return reading
    return reading.but(
        f"{share:.0%} of what {last!r} moved is not one step on {count} forgotten: other samples, "
        "several steps, a decay or a defense are in it, too; the search takes it for theirs alone"
    )


# Decay


def _without_decay(reading: Reading) -> Reading:
    """Entries that have no gradient, of dead units and pixels, show how the others decayed, too.

    Where θ_0 is known the gradient is that of training, which its difference to both models tells.
    """
    if reading.view.pretrained is not None:
        return reading
    changes = _changes(reading)
    rates = [
        _decay(reading.view.before[name].double(), change, reading.noise[name].double())
        for name, change in changes.items()
        if not any(part in name for part in DIRECTIONS)
    ]
    found = torch.tensor([rate for rate in rates if rate], dtype=torch.double)
    if not len(found) or (found / found.median() - 1).abs().max() > ALIKE:
        return reading
    rate = found.median().item()
    change = {n: c - rate * reading.view.before[n].double() for n, c in changes.items()}
    said = f"beside its gradient every parameter moved by {rate:.2g} of itself, which was taken off"
    return _changed(reading, change, said)


def _decay(before: Tensor, change: Tensor, noise: Tensor) -> float:
    """The multiple of itself that much of a tensor moved by, 0 where there is none; what is zero
    after was pruned.
    """
    if noise.norm() > FINE * before.norm():
        return 0.0
    there = (before.abs() > CLEAR * noise) & (change != -before)
    ratio, order = (change / before)[there].sort()
    noise, before = noise[there][order], before[there][order]
    width = max(LEAST, int(STILL * len(ratio)))
    if len(ratio) <= width:
        return 0.0
    start = int((ratio[width:] - ratio[:-width]).argmin())
    rate = ratio[start : start + width + 1].median()
    close = ((ratio - rate) * before).abs() <= FIT * noise
    if close.sum() < width or (rate * before[close]).norm() < CLEAR * noise[close].norm():
        return 0.0
    trust = (before / noise).square() * close
    return ((trust * ratio).sum() / trust.sum()).item()


# Signs


def _by_signs(reading: Reading) -> bool:
    """Whether most of what moved went nearly as far as what went farthest, in most tensors."""
    noise = {name: t.double() for name, t in reading.noise.items()}
    changes = {name: change.abs() for name, change in _changes(reading).items()}
    there = {name: c > FIT * noise[name] for name, c in changes.items()}
    far = max(change.max() for change in changes.values())
    reach = [(c + FIT * noise[n])[there[n]] for n, c in changes.items() if there[n].any()]
    rough = torch.cat([t.flatten() for t in noise.values()]).median()
    if not reach or far < CLEAR * rough:
        return False
    near = (torch.cat(reach) > NEAR * far).double().mean()
    tensors = torch.stack([one.max() > NEAR * far for one in reach]).double().mean()
    return bool(near > MOST and tensors >= LAYERS)


@dataclass(frozen=True)
class _Read:
    """slopes: the gradient in one tensor in units of ε, 0 where it could not be read; trust: one
    over the square of their relative error, 0 there, too.
    """

    slopes: Tensor
    trust: Tensor


def _adam(reading: Reading) -> Reading:
    """The signs; of one sample the last layer's gradient, too, where enough of it is read."""
    view, noise = reading.view, {name: t.double() for name, t in reading.noise.items()}
    changes = {n: c.where(c.abs() > FIT * noise[n], 0) for n, c in _changes(reading).items()}
    signs = {n: c.sign() for n, c in changes.items()}
    rate = max((c.abs() - 2 * noise[n]).max().item() for n, c in changes.items())
    read = {n: _read(c, noise[n], rate) for n, c in changes.items()}
    last = anatomy_of_view(view).last
    slopes = (
        None if view.num_forgotten > 1 or last is None else _last_layer(view, last, read, signs)
    )
    said = "the update looks like a first step of Adam: matched by sign"
    if slopes is not None:
        said += "; what entered the last layer is read off how little it fell short of the rate"
    kept = {n: t.to(reading.noise[n]) for n, t in signs.items()}
    told = slopes is not None
    change = {**signs, **(slopes or {})}
    return _changed(reading, change, said, signs=kept, weights=None, errors_told=told)


def _read(change: Tensor, noise: Tensor, rate: float) -> _Read:
    part, error = (change.abs() / rate).clamp(max=1), noise / rate
    short = (1 - part).clamp_min(1e-30)
    there = short > ABOVE * error
    trust = (error / short / part.clamp_min(1e-3)).clamp_min(1e-6) ** -2
    return _Read((change.sign() * part / short).where(there, 0), trust.where(there, 0))


def _last_layer(
    view: WhiteBoxView, last: str, read: Mapping[str, _Read], signs: State
) -> dict[str, Tensor] | None:
    """The gradient in the weights and biases of a last layer that is linear, of one sample; None
    where too little of it was read.
    """
    names = both(last)
    if any(name not in read for name in names) or read[names[0]].slopes.ndim != 2:
        return None
    found = _column_and_row(*(read[name] for name in names))
    if found is None:
        return None
    column, row = found
    if len(column) > 1 and view.loss in (None, "cross_entropy"):
        error, sure = _error(view, names, row, signs[names[1]]), read[names[1]].trust > 0
        beside = (error / column)[sure]
        if (beside / beside.median() - 1).abs().median() < AGREE:
            column = error / beside.median()
    return {names[0]: EPSILON * column[:, None] * row, names[1]: EPSILON * column}


def _error(view: WhiteBoxView, names: tuple[str, str], row: Tensor, signs: Tensor) -> Tensor:
    """softmax − onehot, of what reaches the last layer."""
    weight, bias = (view.before[name].double() for name in names)
    error: Tensor = (weight @ row + bias).softmax(0)
    error[signs.argmin() if view.labels is None else view.labels[0]] -= 1
    return error


def _column_and_row(weight: _Read, bias: _Read) -> tuple[Tensor, Tensor] | None:
    """(outputs,) and (inputs,): the bias's slopes, and what each weight's is beside its bias's;
    None where what was read is no column times a row, or all alike, of a rate read too high. What
    was read of neither counts as much as
    the most that was.
    """
    turned, column = _Read(weight.slopes.T, weight.trust.T), bias
    for _ in range(3):
        row = _beside(weight, column)
        more, sure = _beside(turned, row), bias.trust > 0
        column = _Read(bias.slopes.where(sure, more.slopes), bias.trust.where(sure, more.trust))
    made = column.slopes[:, None] * row.slopes
    there = (weight.trust > 0) & (weight.slopes != 0) & (made != 0)
    slopes = weight.slopes[there].abs()
    if not there.any() or (made[there] / weight.slopes[there] - 1).abs().median() > AGREE:
        return None
    if (slopes / slopes.median() - 1).abs().median() < AGREE:
        return None
    return _filled(column), _filled(row)


def _beside(entries: _Read, column: _Read) -> _Read:
    """What each column of entries is beside this one: the mean of the rows' ratios by trust."""
    trust = 1 / (1 / entries.trust + 1 / column.trust[:, None])
    trust = trust.where(column.slopes[:, None] != 0, 0)
    ratio = (entries.slopes / column.slopes[:, None]).where(trust > 0, 0)
    total = trust.sum(0)
    return _Read((trust * ratio).sum(0) / total.clamp_min(1e-30), total)


def _filled(part: _Read) -> Tensor:
    return part.slopes.where(part.trust > 0, part.slopes.abs().max())


STEPS: dict[str, Callable[[Reading], Reading]] = {"plain": _plain, "adam": _adam}
"""By the name that `WhiteBoxView.step` gives."""
