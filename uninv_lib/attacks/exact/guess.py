"""A guess of what entered a convolution and which cells won, and how exactly equations are taken
(ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib.attacks.exact.layer import Layer


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
    return Guess(torch.cat([g.entered for g in guesses]), torch.cat([g.winners for g in guesses]))


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


def hardened(layer: Layer, guess: Guess) -> Guess:
    """The same with the likeliest cell as each window's winner."""
    cells = guess.winners.shape[-1]
    hard = guess.winners.round() if cells == 1 else one_hot(guess.winners.argmax(-1), cells)
    return Guess(guess.entered, hard.to(guess.winners))
