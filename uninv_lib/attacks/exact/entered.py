"""What entered a convolution, where it is known which cell of each window behind it won (ours)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uninv_lib.attacks.exact.guess import Guess, Heat
from uninv_lib.attacks.exact.layer import Layer

STEPS, RIDGE = 5, 1e-6
"""Conjugate gradients; what is added to the diagonal. Ours, measured on photos."""


def solved(
    layer: Layer,
    guess: Guess,
    heat: Heat,
    *,
    steps: int = STEPS,
    ridge: float = RIDGE,
) -> Tensor:
    """What entered, (n, in, height, width), given the winners: the least squares of the gradient
    with the variance that undecided winners add, of the values, and of what must not be above a
    window's value or below 0; by conjugate gradients from `guess.entered`.
    """
    system = _System.of(layer, guess, heat, ridge)
    found, rest = guess.entered, system.rest(guess.entered)
    direction = system.preconditioned(rest)
    along = _dot(rest, direction)
    step = direction
    for _ in range(steps):
        image = system.times(step)
        length = along / _dot(step, image).clamp_min(torch.finfo(along.dtype).tiny)
        found, rest = found + length * step, rest - length * image
        direction = system.preconditioned(rest)
        before, along = along, _dot(rest, direction)
        step = direction + along / before.clamp_min(torch.finfo(along.dtype).tiny) * step
    return found


def _inverse(matrices: Tensor) -> Tensor:
    """Of (n, k, k) that are positive but for rounding; the pseudo-inverse where one is singular, as
    where no error reaches a layer.
    """
    factors, failed = torch.linalg.cholesky_ex(matrices)
    if failed.any():
        found: Tensor = torch.linalg.pinv(matrices, hermitian=True)
    else:
        found = torch.cholesky_inverse(factors)
    return found


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2, 3), keepdim=True)


@dataclass(frozen=True)
class _System:
    """The normal equations: of pixels, alike for each channel in `moments`, (n, pixels, pixels);
    of values with `weights`, (n, out, height, width); with `ridges`, (n, in, height, width), on the
    diagonal. inverse: about that of all; goal: the right side.
    """

    layer: Layer
    moments: Tensor
    weights: Tensor
    ridges: Tensor
    inverse: Tensor
    goal: Tensor

    @classmethod
    def of(cls, layer: Layer, guess: Guess, heat: Heat, ridge: float) -> _System:
        entered, winners = guess.entered, guess.winners
        precision = heat.slopes.square().reciprocal()
        errors = layer.behind(winners)
        weighted = errors * precision[:, :, None, None]
        pulls = weighted.flatten(2)
        own = layer.image(winners * layer.errors[:, :, None] ** 2 * precision[:, :, None, None])
        moments = pulls.transpose(1, 2) @ errors.flatten(2) * layer.apart
        moments.diagonal(dim1=1, dim2=2).add_(own.sum(1).flatten(1))
        moments = layer.over_taps(moments)
        sure = winners * layer.active[:, :, None]
        over = (layer.cells(layer.linear(entered)) > layer.values[:, :, None]).to(entered)
        weights = layer.image(sure + (1 - sure) * over) / heat.values**2
        weights = weights * (precision > 0)[:, :, None, None]
        least = ridge * moments.diagonal(dim1=1, dim2=2).mean(1)
        ridges = (entered < 0) / heat.values**2 + least[:, None, None, None]
        kernel = layer.block.weight
        spread = weights.mean((1, 2, 3)) * kernel.square().sum() / kernel.shape[1] + least
        rough = moments + torch.diag_embed(spread[:, None].expand(-1, layer.count))
        inverse = _inverse(rough)
        values = weights * (layer.reached - layer.block.bias[:, None, None])
        goal = layer.pulled(weighted) + layer.back(values)
        return cls(layer, moments, weights, ridges, inverse, goal)

    def times(self, entered: Tensor) -> Tensor:
        pixels = (entered.flatten(2) @ self.moments).reshape(entered.shape)
        values = self.layer.back(self.weights * self.layer.linear(entered, bias=False))
        return pixels + values + self.ridges * entered

    def rest(self, entered: Tensor) -> Tensor:
        return self.goal - self.times(entered)

    def preconditioned(self, rest: Tensor) -> Tensor:
        return (rest.flatten(2) @ self.inverse).reshape(rest.shape)


def deviation(layer: Layer, guess: Guess, heat: Heat) -> Tensor:
    """Of what was solved, as the heat makes it, (n, 1, height, width)."""
    inverse = _System.of(layer, guess, heat, 1e-9).inverse
    found: Tensor = inverse.diagonal(dim1=1, dim2=2).sqrt().unflatten(1, (1, *layer.size))
    return found
