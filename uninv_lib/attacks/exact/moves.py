"""Out of a guess that is nearly right: some of its outputs or a window opened again (ours).

What is wrong at the end of a descent confirms itself: an output whose wrong winners the entered map
was bent to, or a window in which all outputs stand a pixel aside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.attacks.exact.decisions import decided, paired
from uninv_lib.attacks.exact.entered import solved
from uninv_lib.attacks.exact.guess import Guess, falling, heat
from uninv_lib.attacks.exact.layer import Layer
from uninv_lib.attacks.exact.winners import annealed, left, remains

OPENED, SIZES, STARTS = 12, (1, 4, 8, 16), (3.0, 10.0, 30.0)
"""Tries of a move; outputs that it opens; heats from which it cools. Ours, measured on photos."""
OPEN, END, HOTTEST, TRUST, PAIR = 1.5, 0.3, 0.4, 0.3, 1.0
"""Heat from which opened outputs cool; at the end; of values."""
HALVES = ((3, 6), (4, 3), (6, 1))
"""Rounds of a window's tries, and how many of the best are kept then."""


def drawn(choices: tuple[float, ...], rng: torch.Generator) -> float:
    """One of them."""
    return choices[int(torch.randint(len(choices), (1,), generator=rng))]


def outputs_opened(layer: Layer, guess: Guess, rng: torch.Generator) -> Guess:
    """The best of some tries: outputs, those first that leave most of the gradient, are decided
    anew by what is solved without them. guess: a single one.
    """
    opened = _opened(layer, guess, int(drawn(SIZES, rng)), rng)
    trust = layer.values.new_full((1,), TRUST)
    start, end = _heats(layer, guess, rng)
    each = guess.take([0] * OPENED)
    cells = each.winners.shape[-1]
    winners = torch.where(opened[:, :, None, None], 1 / cells, each.winners)
    entered = solved(
        layer, Guess(each.entered, winners), heat(layer, start, trust).left_out(opened)
    )
    for size in falling(OPEN, start, 5):
        now = heat(layer, size, trust)
        winners = decided(
            layer,
            Guess(entered, winners),
            now,
            rng,
            opened[:, :, None].expand(-1, -1, winners.shape[2]),
        )
    now = heat(layer, PAIR * start, trust)
    winners = paired(layer, Guess(entered, winners), now, opened)
    return best(layer, annealed(layer, Guess(entered, winners), falling(start, end, 6), trust, rng))


def _heats(layer: Layer, guess: Guess, rng: torch.Generator) -> tuple[float, float]:
    """From which a move cools and to which, beside what the guess leaves of the gradient."""
    rest = float(remains(layer, guess).gradient.sqrt())
    return min(drawn(STARTS, rng) * rest, HOTTEST), max(END * rest, layer.rounding / 2)


def _opened(layer: Layer, guess: Guess, size: int, rng: torch.Generator) -> Tensor:
    """(tries, out); a single output at a time are those that leave most, more are drawn."""
    parts = left(layer, guess)[0].square().sum((1, 2, 3)).cpu().double()
    size, tries = min(size, 1 + len(parts) // 4), min(OPENED, len(parts))
    if size == 1:
        chosen = parts.argsort(descending=True)[:tries].repeat(-(-OPENED // tries))[:OPENED, None]
    else:
        chances = (parts / parts.sum() + 1e-3).expand(OPENED, -1)
        chosen = torch.multinomial(chances, size, generator=rng)
    opened = torch.zeros(OPENED, len(parts), dtype=torch.bool).scatter_(1, chosen, True)
    return opened.to(layer.values.device)


def window_moved(
    layer: Layer, guess: Guess, window: int, others: Guess, rng: torch.Generator
) -> Guess:
    """The best of some tries: the window's winners shifted by a pixel, all alike, and those of the
    other guesses. guess: a single one.
    """
    start, end = _heats(layer, guess, rng)
    trust = layer.values.new_full((1,), TRUST)
    here = guess.winners[:, :, window]
    side = layer.block.pool
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
    moved = [shifted(here, side, *shift) for shift in shifts]
    alike = torch.full_like(here, 1 / side**2)
    tries = torch.cat([*moved, alike, others.winners[:, :, window]])
    winners = guess.winners.repeat(len(tries), 1, 1, 1)
    winners[:, :, window] = tries
    each = Guess(guess.entered.expand(len(tries), -1, -1, -1), winners)
    tried = Guess(solved(layer, each, heat(layer, start, trust)), winners)
    sizes = falling(start, end, sum(rounds for rounds, _ in HALVES))
    for rounds, kept in HALVES:
        now, sizes = sizes[:rounds], sizes[rounds:]
        tried = annealed(layer, tried, now, trust, rng)
        tried = tried.take(remains(layer, tried).energy.argsort()[:kept])
    return tried


def shifted(winners: Tensor, side: int, down: int, right: int) -> Tensor:
    """Winners of windows of `side` pixels, (..., cells), moved so far, at most to the edge."""
    cells = torch.arange(side**2, device=winners.device)
    rows = (cells // side + down).clamp(0, side - 1)
    columns = (cells % side + right).clamp(0, side - 1)
    return torch.zeros_like(winners).index_add_(-1, rows * side + columns, winners)


def best(layer: Layer, guess: Guess) -> Guess:
    """The one of the lowest energy."""
    return guess.take(remains(layer, guess).energy.argmin()[None])
