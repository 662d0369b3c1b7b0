"""The form of the step that unlearning made, and the gradient behind it (ours).

A plain step moves every entry by the rate times its gradient. Adam's first step moves it by
rate · g / (|g| + ε): by the rate, whatever the gradient. What it falls short of the rate, 1 part in
1 + |g| / ε, tells the size of small gradients all the same, as long as it stands above rounding; of
the others the sign is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import Anatomy, anatomy_of_view, both
from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.types import State, WhiteBoxView, unknown

EVEN, FULL = 0.5, 0.5
"""A step goes by signs where more than so much of what moved went more than so far of the most."""
ABOVE, EPSILON, AGREE = 5.0, 1e-8, 0.1
"""How many times its rounding a shortfall must be to be read; Adam's ε as PyTorch has it, for
gradients whose scale nothing else tells; how well a layer must fit one row times one column."""
STILL, FIT, STRICT = 0.02, 3.0, 10.0
"""Decay is taken where so much of a layer moved by one multiple of itself, as closely as so many
times rounding, and by so many times rounding."""

SIGNS = "the update looks like a first step of Adam: matched by sign"


def stepped(reading: Reading) -> Reading:
    """`after` as a plain step would have made it, as far as `view.step` or the update tells."""
    step = reading.view.step
    if step is not None and step not in STEPS:
        raise ValueError(unknown("view.step", step, STEPS))
    if not reading.noise:
        return reading
    reading = _without_decay(reading)
    return STEPS[step or ("signs" if _by_signs(reading) else "plain")](reading)


def _plain(reading: Reading) -> Reading:
    return reading


def _changes(view: WhiteBoxView, names: State) -> dict[str, Tensor]:
    return {n: view.after[n].double() - view.before[n].double() for n in names}


def _moved_to(reading: Reading, change: dict[str, Tensor], *said: str, **more: object) -> Reading:
    """The same with this change between both models, in float64 so that nothing is rounded off."""
    before = reading.view.before
    after = {**reading.view.after, **{n: before[n].double() + c for n, c in change.items()}}
    return reading.but(*said, view=replace(reading.view, after=after), **more)


# Decay


def _without_decay(reading: Reading) -> Reading:
    """Entries that have no gradient, of dead units and pixels, show how the others decayed, too."""
    change = _changes(reading.view, reading.noise)
    rates = {n: _decay(reading.view.before[n].double(), c, reading.noise[n].double())
             for n, c in change.items()}
    found = torch.tensor([r for r in rates.values() if r])
    if not len(found) or (found - found.median()).abs().max() > 0.1 * found.median().abs():
        return reading
    rate = found.median().item()
    change = {n: c - rate * reading.view.before[n].double() for n, c in change.items()}
    kind = "decay" if rate < 0 else "growth"
    return _moved_to(reading, change, f"weight {kind} of {abs(rate):.2g} beside the gradient was taken off the update")


def _decay(before: Tensor, change: Tensor, noise: Tensor) -> float:
    """The multiple of a layer that much of it moved by, 0 where there is none."""
    there = before.abs() > STRICT * noise
    ratio, order = (change / before)[there].sort()
    noise, before = noise[there][order], before[there][order]
    width = max(8, int(STILL * len(ratio)))
    if len(ratio) <= width:
        return 0.0
    start = int((ratio[width:] - ratio[:-width]).argmin())
    rate = ratio[start : start + width + 1].median()
    close = ((ratio - rate) * before).abs() <= FIT * noise
    if close.sum() < width or (rate * before[close]).norm() < STRICT * noise[close].norm():
        return 0.0
    weight = (before / noise).square() * close
    return float((weight * ratio).sum() / weight.sum())


# Signs


def _by_signs(reading: Reading) -> bool:
    """Whether most of what moved went nearly as far as what went farthest."""
    change = torch.cat([c.flatten().abs() for c in _changes(reading.view, reading.noise).values()])
    change = change[change > 0]
    return len(change) > 0 and bool((change > FULL * change.max()).double().mean() > EVEN)


@dataclass(frozen=True)
class _Read:
    """Of one tensor: slopes: its gradient beside ε, 0 where it was not read; trust: one over the
    square of their relative error, 0 there, too.
    """

    slopes: Tensor
    trust: Tensor


def _signed(reading: Reading) -> Reading:
    """The gradient as far as it can be read, and of the rest the signs."""
    view, noise = reading.view, {n: t.double() for n, t in reading.noise.items()}
    change = _changes(view, noise)
    signs = {n: c.sign().to(reading.noise[n]) for n, c in change.items()}
    rate = max((c.abs() - 2 * noise[n]).max().item() for n, c in change.items())
    read = {n: _shortfall(c, noise[n], rate) for n, c in change.items()}
    anatomy = anatomy_of_view(view)
    rows = {layer: _row_of(read, both(layer)) for layer in _linear(anatomy, read)}
    if view.num_forgotten > 1 or anatomy.last is None or rows.get(anatomy.last) is None:
        change = {n: t.double() for n, t in signs.items()}
        return _moved_to(reading, change, SIGNS, signs=signs, errors_told=False)
    slopes = {n: r.slopes for n, r in read.items()}
    weights = {n: (r.trust > 0).to(signs[n]) for n, r in read.items()}
    for layer, row in rows.items():
        if row is not None:
            names = both(layer)
            column = _column_of(read, names, row)
            if layer == anatomy.last:
                true = _error(view, names, row, signs[names[1]])
                sure = read[names[1]].trust > 0
                epsilon = (true / slopes[names[1]])[sure].median()
                column = true / epsilon
            slopes[names[0]], slopes[names[1]] = column[:, None] * row, column
            weights |= {n: torch.ones_like(signs[n]) for n in names}
    slopes = {n: t * epsilon for n, t in slopes.items()}
    share = sum(w.sum() for w in weights.values()) / sum(w.numel() for w in weights.values())
    said = f"{SIGNS}; {share:.0%} of its gradient is read off how far it falls short of the rate"
    return _moved_to(reading, slopes, said, signs=signs, weights=weights)


def _error(view: WhiteBoxView, names: tuple[str, str], row: Tensor, signs: Tensor) -> Tensor:
    """softmax − onehot of what reaches the last layer."""
    weight, bias = (view.before[n].double() for n in names)
    error = (weight @ row + bias).softmax(0)
    label = signs.argmin() if view.labels is None else view.labels[0]
    error[label] -= 1
    return error


def _linear(anatomy: Anatomy, read: Mapping[str, _Read]) -> list[str]:
    """The layers whose gradient may be a column times a row."""
    return [
        layer
        for layer in anatomy.layers
        if isinstance(anatomy.net.get_submodule(layer), nn.Linear)
        and all(name in read for name in both(layer))
    ]


def _shortfall(change: Tensor, noise: Tensor, rate: float) -> _Read:
    part = (change.abs() / rate).clamp(max=1)
    short, error = 1 - part, noise / rate
    there = short > ABOVE * error
    slopes = torch.where(there, change.sign() * part / short.clamp_min(1e-30), 0.0)
    relative = error / short.clamp_min(1e-30) / part.clamp_min(1e-3)
    return _Read(slopes, torch.where(there, relative.clamp_min(1e-6) ** -2, 0.0))


def _ratios(entries: _Read, by: _Read) -> _Read:
    """Of each column, what its entries are beside `by`, one a row: the mean by trust."""
    trust = 1 / (1 / entries.trust + 1 / by.trust[:, None])
    trust = torch.where(by.slopes[:, None] == 0, 0.0, trust)
    ratio = torch.where(trust > 0, entries.slopes / by.slopes[:, None], 0.0)
    total = trust.sum(0)
    return _Read((trust * ratio).sum(0) / total.clamp_min(1e-30), total)


def _row_of(read: Mapping[str, _Read], names: tuple[str, str]) -> Tensor | None:
    """What entered a layer whose gradient is a column times [row, 1]; None where it is not."""
    weight, column = (read[n] for n in names)
    for _ in range(3):
        row = _ratios(weight, column)
        more = _ratios(_Read(weight.slopes.T, weight.trust.T), row)
        column = _Read(*(torch.where(column.trust > 0, o, m) for o, m in ((column.slopes, more.slopes), (column.trust, more.trust))))
    there = (weight.trust > 0) & (weight.slopes != 0) & (column.trust > 0)[:, None] & (row.trust > 0)
    if there.sum() < 2 * (len(row.slopes) + len(column.slopes)):
        pass
    fit = (column.slopes[:, None] * row.slopes / weight.slopes - 1).abs()[there]
    import os
    if os.environ.get("DEBUG"): print(names, there.double().mean().item(), fit.median().item(), (row.trust>0).double().mean().item())
    if not len(fit) or fit.median() > AGREE:
        return None
    return torch.where(row.trust > 0, row.slopes, row.slopes.max())


def _column_of(read, names, row):
    weight, bias = (read[n] for n in names)
    column = _ratios(_Read(weight.slopes.T, weight.trust.T), _Read(row, torch.full_like(row, 1e6)))
    sure = torch.where(bias.trust > 0, bias.slopes, column.slopes)
    return torch.where((bias.trust > 0) | (column.trust > 0), sure, sure.abs().max())


STEPS: dict[str, Callable[[Reading], Reading]] = {"plain": _plain, "signs": _signed}
"""By the name of `WhiteBoxView.step`."""
