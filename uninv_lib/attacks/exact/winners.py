"""Winners and what entered the convolution, both at once: by expectation maximisation from hot to
cold (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from uninv_lib.attacks.exact.decisions import decided
from uninv_lib.attacks.exact.entered import solved
from uninv_lib.attacks.exact.guess import Guess, heat
from uninv_lib.attacks.exact.layer import Layer


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
    """As `annealed`, but each output's winners are decided by what is solved without that output,
    which else confirms them.
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
