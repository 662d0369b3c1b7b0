"""What rounding left of the update: its mean within what was rounded to the same number."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from uninv_lib.attacks.adaptive.low_rank import (
    linear_layers,
    moved_by,
    nearest,
    parts_of,
    rows_of,
    update_of,
)
from uninv_lib.types import WhiteBoxView

DIGITS, EVEN, MOST, SCALES, ASKED, ROUNDS = 24, 0.02, 2**21, 24, 10_000, 3
"""Binary ones of a float32; how far from a multiple of the step, in steps, a number may lie beside
what float32 makes of it; multiples, at most, that float32 tells apart well; scales that are tried,
entries that are asked for them; rounds of the fit (ours)."""


def unrounded(view: WhiteBoxView) -> WhiteBoxView:
    """Each entry of the update moved to its expectation, given that it lies within half a step of
    the rounding about what was released, and that the entries of a tensor are Gaussian of a scale
    at which such intervals are likeliest (ours). The step shows in the released numbers.

    In a linear layer they are Gaussian about the nearest matrix of the rank that the forgotten
    samples have, which is fitted in turn with them.
    """
    update = update_of(view)
    steps = _steps({name: view.after[name].double() for name in update})
    if steps is None:
        return view
    found = {n: expected(u, steps[n]) for n, u in update.items()}
    for names in linear_layers(view):
        rows, step = rows_of(update, names), rows_of(steps, names)
        about = nearest(rows, view.num_forgotten)
        for _ in range(ROUNDS):
            near = about + expected(rows - about, step)
            about = nearest(near, view.num_forgotten)
        found |= parts_of(near, names)
    return moved_by(view, found)


def _steps(after: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The step at each number: of numbers of fewer digits, or of a grid; None where there is none
    that float32 has not.
    """
    values = torch.cat([t.flatten() for t in after.values()])
    digits = next((d for d in range(1, DIGITS) if torch.equal(_shortened(values, d), values)), None)
    if digits is not None:
        return {n: _spacing(t, digits) for n, t in after.items()}
    step = _grid(values.abs().unique())
    return None if step is None else {n: torch.full_like(t, step) for n, t in after.items()}


def _shortened(values: Tensor, digits: int) -> Tensor:
    mantissa, exponent = values.frexp()
    return torch.ldexp((mantissa * 2**digits).round(), exponent - digits)


def _spacing(values: Tensor, digits: int) -> Tensor:
    """Of the numbers of so many digits at each value; 0 at 0, near which they lie close."""
    spacing = torch.ldexp(torch.ones_like(values), values.frexp().exponent - digits)
    return spacing.where(values != 0, 0)


def _grid(sizes: Tensor) -> float | None:
    """The step of which all sizes, in order, are multiples; None where there is no such.

    The smallest difference tells it roughly, larger sizes better, while their multiple is sure.
    """
    apart = torch.cat([sizes[:1], sizes.diff()])
    apart = apart[apart > 2.0**-DIGITS * sizes[-1]]  # less is what float32 left of none
    if not len(apart):
        return None
    step, top = apart.min(), sizes[-1]
    reach = 4 * step
    while reach < 2 * top:
        known = sizes[sizes <= reach]
        count = (known / step).round()
        step = (known * count).sum() / count.square().sum() if count.any() else step
        reach = 2 * reach
    count = sizes / step
    fits = (count - count.round()).abs() <= EVEN + count * 2.0**-DIGITS
    return step.item() if bool(fits.all()) and count[-1] < MOST else None


def expected(update: Tensor, steps: Tensor) -> Tensor:
    """E[u | |u − update| < steps / 2], u Gaussian about 0; in the shape of the update."""
    low, high = update - steps / 2, update + steps / 2
    widest = torch.maximum(low.abs(), high.abs())
    scale = _likeliest(low, high, widest)
    a, b = low / scale, high / scale
    mass = _mass(a, b)
    mean = scale * (_density(a) - _density(b)) / mass.clamp_min(torch.finfo(mass.dtype).tiny)
    near = torch.minimum(low.abs(), high.abs()).where(low * high > 0, 0) * update.sign()
    sure = mass > 1e-12  # else the end of the interval that is nearer to 0
    return torch.minimum(torch.maximum(mean.where(sure, near), low), high)


def _likeliest(low: Tensor, high: Tensor, widest: Tensor) -> Tensor:
    every = max(1, low.numel() // ASKED)
    low, high = low.flatten()[::every], high.flatten()[::every]
    top = widest.square().mean().sqrt()
    scales = top * torch.logspace(-3, 0.3, SCALES, dtype=low.dtype, device=low.device)
    floor = torch.finfo(low.dtype).tiny
    each = [_mass(low / s, high / s).clamp_min(floor).log().sum() for s in scales]
    return scales[torch.stack(each).argmax()]


def _mass(a: Tensor, b: Tensor) -> Tensor:
    """Of the normal distribution between these, counted from the side that loses no digits."""
    turned = a > 0
    a, b = torch.where(turned, -b, a), torch.where(turned, -a, b)
    mass: Tensor = torch.special.ndtr(b) - torch.special.ndtr(a)
    return mass


def _density(z: Tensor) -> Tensor:
    density: Tensor = (-z.square() / 2).exp() / (2 * torch.pi) ** 0.5
    return density
