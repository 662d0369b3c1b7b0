"""Which cell of each window gave its value, and what entered the convolution: both at once, by
expectation maximisation from hot to cold (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib.attacks.exact.layer import Layer

HOT, COLD = 6.0, 0.05
"""Standard deviations of the gradient at the beginning and the end, in units of its own size. Ours,
as all numbers here; measured on photos."""
DECISIONS, STEPS, RIDGE = 2, 5, 1e-6
"""Passes over the windows and conjugate gradients of a round; what is added to the diagonal."""
CHANGES, CLEAR, MEMORY = 12, 1e-3, 2**22
"""Changes of two windows at most; what one must win; numbers that are compared at once."""


@dataclass(frozen=True)
class Guess:
    """entered: (n, in, height, width); winners: (n, out, windows, cells), each cell's probability
    to be its window's winner.
    """

    entered: Tensor
    winners: Tensor

    def __len__(self) -> int:
        return len(self.entered)

    def take(self, index: Tensor | list[int]) -> Guess:
        """The guesses at these positions."""
        return Guess(self.entered[index], self.winners[index])


@dataclass(frozen=True)
class Heat:
    """Standard deviations that the equations are taken to have.

    slopes: (n or 1, out), of the gradient, infinite for an output that is left out; values:
    (n or 1, 1, 1, 1), of what windows give.
    """

    slopes: Tensor
    values: Tensor

    def left_out(self, outputs: Tensor) -> Heat:
        """The same without the outputs that are True, (n, out)."""
        return Heat(torch.where(outputs, torch.inf, self.slopes), self.values)


def joined(guesses: Sequence[Guess]) -> Guess:
    """All in one."""
    return Guess(
        torch.cat([g.entered for g in guesses]), torch.cat([g.winners for g in guesses])
    )


def heat(layer: Layer, size: float, trust: Tensor) -> Heat:
    """Of this size beside the equations' own; trust: (n,), of the values beside the gradient."""
    slopes, values = layer.scales
    level = layer.values.new_full((1, len(layer.values)), size * slopes)
    return Heat(level, (trust * size * values).reshape(-1, 1, 1, 1).to(layer.values))


def falling(start: float, end: float, rounds: int) -> list[float]:
    """A geometric sequence."""
    return [start * (end / start) ** (i / max(1, rounds - 1)) for i in range(rounds)]


def fresh(layer: Layer, count: int, rng: torch.Generator) -> Guess:
    """Guesses that know nothing."""
    entered = torch.randn(count, layer.block.weight.shape[1], *layer.size, generator=rng)
    cells = layer.block.pool**2
    winners = layer.values.new_full((count, *layer.values.shape, cells), 1 / cells)
    return Guess(0.1 * entered.abs().to(winners), winners)


@dataclass(frozen=True)
class _Bids:
    """What it costs, in units of the heat, that a cell wins: alone, (n, out, windows, cells); and
    beside another cell, its products, (n, windows, cells, windows, cells), times both errors and
    the precision, (n or 1, out).
    """

    alone: Tensor
    products: Tensor
    precision: Tensor

    @classmethod
    def of(cls, layer: Layer, entered: Tensor, heat: Heat) -> _Bids:
        errors, precision = layer.errors[:, :, None], heat.slopes.square().reciprocal()
        products = _by_cells(layer, entered)
        own = products.flatten(3).flatten(1, 2).diagonal(dim1=1, dim2=2)
        own = own.unflatten(1, products.shape[1:3])[:, None]
        alone = errors**2 * own / 2 - errors * layer.cells(layer.along(entered))
        away = layer.cells(layer.linear(entered)) - layer.values[:, :, None]
        alone = alone * precision[:, :, None, None] + away.square() / (2 * heat.values**2)
        return cls(alone, products, precision)


def decided(
    layer: Layer,
    guess: Guess,
    heat: Heat,
    rng: torch.Generator,
    opened: Tensor | None = None,
) -> Tensor:
    """The winners' probabilities, (n, out, windows, cells), given what entered: window by window,
    those of the others at their mean.

    opened: (n, out, windows), those that are decided, the others stay; all without.
    """
    bids, off = _Bids.of(layer, guess.entered, heat), _off(layer, guess.entered, heat)
    across = bids.products.flatten(3).transpose(2, 3)
    winners, found = guess.winners, guess.winners.clone()
    pulls = winners * layer.errors[:, :, None]
    for _ in range(DECISIONS):
        for w in torch.randperm(winners.shape[2], generator=rng).tolist():
            pulls[:, :, w] = 0
            others = pulls.flatten(2) @ across[:, w] * bids.precision[:, :, None]
            energy = bids.alone[:, :, w] + layer.errors[:, w, None] * others
            new = _chosen(energy, None if off is None else off[:, :, w])
            if opened is not None:
                new = torch.where(opened[:, :, w, None], new, winners[:, :, w])
            found[:, :, w], pulls[:, :, w] = new, new * layer.errors[:, w, None]
    return found


def paired(layer: Layer, guess: Guess, heat: Heat, outputs: Tensor) -> Tensor:
    """Winners of the outputs that are True, (n, out), the likeliest that no change of two windows
    betters, given what entered; those of the others as they are.

    Where patches are alike, two windows of an output often fail together.
    """
    bids, chosen = _Bids.of(layer, guess.entered, heat), outputs.nonzero()
    cells, found = guess.winners.shape[-1], guess.winners.clone()
    size = guess.winners[0, 0].numel()
    for some in chosen.split(max(1, MEMORY // size**2)):
        n, o = some.T
        pulls = layer.errors[o].repeat_interleave(cells, 1)
        precision = bids.precision.expand(len(guess), -1)[n, o]
        pairs = bids.products[n].flatten(3).flatten(1, 2) * pulls[:, :, None] * pulls[:, None]
        pairs = pairs * precision[:, None, None]
        winners = _better_pairs(bids.alone[n, o], pairs, found[n, o].argmax(-1))
        found[n, o] = one_hot(winners, cells).to(found)
    return found


def _better_pairs(alone: Tensor, pairs: Tensor, winners: Tensor) -> Tensor:
    """alone: (rows, windows, cells); pairs: (rows, windows·cells, windows·cells); winners:
    (rows, windows), the cell of each; one change of two windows of a row after the other.
    """
    windows, cells = alone.shape[1:]
    window = torch.arange(windows, device=alone.device)
    of_cell = window.repeat_interleave(cells)
    same = of_cell[:, None] == of_cell
    pairs = pairs.masked_fill(same, 0)
    for _ in range(CHANGES):
        now = window * cells + winners
        across = pairs.gather(2, now[:, None].expand(-1, len(of_cell), -1))
        gain = alone.flatten(1) + across.sum(2)
        gain = gain - gain.gather(1, now)[:, of_cell]
        between = across.gather(1, now[:, :, None].expand(-1, -1, windows))
        change = gain[:, :, None] + gain[:, None] + pairs + between[:, of_cell][:, :, of_cell]
        wide = across[:, :, of_cell]
        change = change - wide - wide.transpose(1, 2)
        best, place = change.masked_fill(same, torch.inf).flatten(1).min(1)
        if not (best < -CLEAR).any():
            break
        for cell in (place // len(of_cell), place % len(of_cell)):
            moved = winners.scatter(1, of_cell[cell][:, None], (cell % cells)[:, None])
            winners = torch.where(best[:, None] < -CLEAR, moved, winners)
    return winners


def _by_cells(layer: Layer, entered: Tensor) -> Tensor:
    """Products of the patches around cells, (n, windows, cells, windows, cells)."""
    pixels = entered.flatten(2)
    products = layer.over_taps(pixels.transpose(1, 2) @ pixels)
    columns = layer.cells(products.unflatten(2, layer.size)).flatten(2)
    return layer.cells(columns.transpose(1, 2).unflatten(2, layer.size)).unflatten(
        1, (-1, layer.block.pool**2)
    )


def _off(layer: Layer, entered: Tensor, heat: Heat) -> Tensor | None:
    """What it costs that a window of one cell has no winner, (n, out, windows, 1); None for larger
    windows, whose value tells it.
    """
    if layer.block.pool > 1:
        return None
    return layer.cells(layer.linear(entered)).clamp_min(0).square() / (2 * heat.values**2)


def _chosen(energy: Tensor, off: Tensor | None) -> Tensor:
    return (-energy).softmax(-1) if off is None else (off - energy).sigmoid()


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
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(rough))
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


@dataclass(frozen=True)
class Remains:
    """Squares of what a guess leaves, beside those of what it is to give, (n,) each: of the
    gradient; of the values; of what is above a window's value; of what entered below 0.
    """

    gradient: Tensor
    values: Tensor
    above: Tensor
    below: Tensor

    @property
    def energy(self) -> Tensor:
        """(n,), by which guesses are compared."""
        return self.gradient + 0.1 * (self.values + self.above + self.below)


def remains(layer: Layer, guess: Guess) -> Remains:
    """What the equations leave."""
    entered, winners, values = guess.entered, guess.winners, layer.values[:, :, None]
    over, all_values = layer.cells(layer.linear(entered)) - values, values.square().sum()
    missed = (winners * over).sum(-1) * layer.active
    below = entered.clamp_max(0).square().sum((1, 2, 3)) / entered.square().sum((1, 2, 3))
    return Remains(
        left(layer, guess).square().sum((1, 2, 3, 4)) / layer.block.slopes.square().sum(),
        missed.square().sum((1, 2)) / all_values,
        over.clamp_min(0).square().sum((1, 2, 3)) / all_values,
        below,
    )


def left(layer: Layer, guess: Guess) -> Tensor:
    """What the guess does not explain of the gradient, (n, out, in, k, k)."""
    return layer.slopes(guess.entered, layer.behind(guess.winners)) - layer.block.slopes


def deviation(layer: Layer, guess: Guess, heat: Heat) -> Tensor:
    """Of what was solved, as the heat makes it, (n, 1, height, width)."""
    inverse = _System.of(layer, guess, heat, 0.0).inverse
    return inverse.diagonal(dim1=1, dim2=2).sqrt().unflatten(1, (1, *layer.size))


def annealed(
    layer: Layer,
    guess: Guess,
    sizes: Sequence[float],
    trust: Tensor,
    rng: torch.Generator,
) -> Guess:
    """A round of decisions and solution at each of these sizes of the heat."""
    for size in sizes:
        now = heat(layer, size, trust)
        winners = decided(layer, guess, now, rng)
        guess = Guess(guess.entered, winners)
        guess = Guess(solved(layer, guess, now), winners)
    return guess


def crossed(
    layer: Layer,
    guess: Guess,
    sizes: Sequence[float],
    trust: Tensor,
    rng: torch.Generator,
    *,
    folds: int = 4,
) -> Guess:
    """As `annealed`, but each output's winners are decided by an entered map that was solved without
    that output, which else confirms them.
    """
    outputs, trusts = len(layer.values), trust.repeat_interleave(folds)
    for size in sizes:
        drawn = [torch.randperm(outputs, generator=rng) % folds for _ in range(len(guess))]
        fold = torch.stack(drawn).to(layer.values.device)
        left = fold[:, None] == torch.arange(folds, device=fold.device)[:, None]
        now = heat(layer, size, trusts)
        each = guess.take(torch.arange(len(guess)).repeat_interleave(folds))
        entered = solved(layer, each, now.left_out(left.flatten(0, 1)))
        winners = decided(layer, Guess(entered, each.winners), now, rng)
        chosen = winners.unflatten(0, (-1, folds)).transpose(1, 2)[left.transpose(1, 2)]
        guess = Guess(
            entered.unflatten(0, (-1, folds)).mean(1), chosen.reshape(guess.winners.shape)
        )
    return guess


def hardened(layer: Layer, guess: Guess) -> Guess:
    """The same with the likeliest cell as each window's winner."""
    cells = guess.winners.shape[-1]
    hard = guess.winners.round() if cells == 1 else one_hot(guess.winners.argmax(-1), cells)
    return Guess(guess.entered, hard.to(guess.winners))
