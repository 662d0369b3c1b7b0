"""What entered the last two convolutions of a chain, solved from one sample's gradient, and
certified where it leaves no more of the gradient than rounding does (ours).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib.attacks.exact.chain import Chain
from uninv_lib.attacks.exact.decisions import paired
from uninv_lib.attacks.exact.entered import deviation, solved
from uninv_lib.attacks.exact.guess import Guess, Heat, falling, fresh, hardened, joined
from uninv_lib.attacks.exact.layer import Layer
from uninv_lib.attacks.exact.moves import best, outputs_opened, window_moved
from uninv_lib.attacks.exact.winners import annealed, crossed, left, remains

HOT, COLD = 6.0, 0.05
"""Standard deviations of the gradient where a guess begins and ends, beside its own size. Ours, as
all numbers here; measured on photos."""
ROUNDS, CROSSED = (80, (0.15, 0.3)), (50, (0.25, 0.5))
"""Rounds of a pair of guesses, and of a pair that is crossed, and the deviations of their values
beside that of the gradient."""
MOVES, NEAR, GAIN, TIRED = 60, 3e-3, 0.97, 5
"""Moves at most; the part of the gradient that is left where a finish is tried; what a move must
win; moves of outputs without gain after which windows are moved."""
DROWNED = 5e-3
"""Rounding of a gradient beside its size, above which wrong winners may hide in it."""
CHANCE, VAGUE = 3.0, 0.1
"""What an output's gradient may leave beside its own rounding, to which that of the errors comes;
deviation of a pixel beside the map's root mean square, above which the gradient does not tell
it."""
WARM, PASSES, POLISH = 0.02, 6, 10
"""Heat from which a finish cools; its passes at most; conjugate gradients of each part of one."""
SURE, DOUBTFUL, WORST = 2.5, 4.0, 0.25
"""Deviations above 0 from which a neuron counts as active, and from which it is so for certain;
what the worst output leaves, the share of it from which others are decided again, too."""


@dataclass(frozen=True)
class Inner:
    """values: what entered the last two blocks, (1, channels, height, width) each, float64, by the
    block's name; residuals: the part of the block's gradient that they do not explain; certified:
    the blocks where it is no more than rounding.
    """

    values: Mapping[str, Tensor]
    residuals: Mapping[str, float]
    certified: tuple[str, ...]


def solve_inner(
    chain: Chain,
    rng: torch.Generator,
    moves: int = MOVES,
    tick: Callable[[], None] = lambda: None,
) -> Inner | None:
    """Of the last block, which pools, then of the one in front of it, which does not, where the
    last is certified; None for a chain of another form, or whose gradient drowned in rounding.

    moves: attempts to get on from a wrong solution, about 0.3 s each at width 16 on one core; tick:
    called after each. The values are the first's of the two blocks at the end.
    """
    layer = last_layer(chain)
    if layer is None or layer.rounding > DROWNED:
        return None
    guess = _found(layer, rng, moves, tick)
    solutions = [(layer, guess)]
    if certified(layer, guess):
        solutions.append(_in_front(chain, layer, guess))
    return Inner(
        {layer.block.name: guess.entered.clamp_min(0) for layer, guess in solutions},
        {layer.block.name: _left(layer, guess) for layer, guess in solutions},
        tuple(layer.block.name for layer, guess in solutions if certified(layer, guess)),
    )


def last_layer(chain: Chain) -> Layer | None:
    """The last block with what left it, where it pools, and the one in front of it does not; None
    too where the pooling drops more than the kernel reaches.
    """
    blocks = chain.blocks
    if len(blocks) < 2 or blocks[-1].pool == 1 or blocks[-2].pool > 1:
        return None
    height, width = chain.entered(torch.zeros_like(chain.mean)[None])[-2].shape[2:]
    values = chain.features.reshape(len(blocks[-1].weight), -1)
    errors = (chain.weight.T @ chain.errors).reshape(values.shape) * (values > 0)
    if max(height % blocks[-1].pool, width % blocks[-1].pool) > blocks[-1].padding:
        return None
    return Layer(blocks[-1], values, errors, (height, width))


def certified(layer: Layer, guess: Guess) -> bool:
    """Whether a single guess leaves of each output's gradient, of the values and of the
    inequalities no more than rounding does, where rounding is too small to hide a wrong one, and
    where the gradient determines each pixel.
    """
    rest, noise = remains(layer, guess), at_rounding(layer)
    kept = torch.cat([rest.values, rest.above, rest.below]).sqrt() <= layer.rounding
    spread = deviation(layer, guess, alone(noise)).max() / guess.entered.square().mean().sqrt()
    fits = kept.all() and (_above(layer, guess) <= CHANCE).all()
    return layer.rounding <= DROWNED and bool(fits and spread <= VAGUE)


def _left(layer: Layer, guess: Guess) -> float:
    return float(remains(layer, guess).gradient.sqrt())


def _found(layer: Layer, rng: torch.Generator, moves: int, tick: Callable[[], None]) -> Guess:
    """The first certified guess, else the best."""
    quick, near = layer.to(torch.float32), max(NEAR, 3 * layer.rounding) ** 2
    found, seen = fresh(quick, 1, rng), None
    for guess in islice(_guesses(quick, rng), 2 + moves):
        if guess is not seen and remains(quick, guess).energy < near:
            exact = _finished(layer, guess, rng)
            if certified(layer, exact):
                return exact
        found, seen = best(quick, joined([found, guess])), guess
        tick()
    return _finished(layer, found, rng)


def _guesses(layer: Layer, rng: torch.Generator) -> Iterator[Guess]:
    """Single guesses without end: the best of the first, and what moves make of it; where all fail,
    what they make of others.
    """
    pool = _begun(layer, annealed, ROUNDS, COLD, rng)
    yield best(layer, pool)
    new = pool
    while True:
        crossing = _begun(layer, crossed, CROSSED, 2 * COLD, rng)
        pool, new = joined([pool, crossing]), joined([new, crossing])
        last = best(layer, new)
        yield last
        for guess in _moved(layer, last, pool, rng):
            yield guess
            last = guess
        pool, new = last, last.take([])


def _begun(
    layer: Layer,
    descent: Callable[..., Guess],
    form: tuple[int, tuple[float, ...]],
    cold: float,
    rng: torch.Generator,
) -> Guess:
    """A guess for each trust of values, from nothing."""
    rounds, trusts = form
    sizes, trust = falling(HOT, cold, rounds), layer.values.new_tensor(trusts)
    return descent(layer, fresh(layer, len(trusts), rng), sizes, trust, rng)


def _moved(layer: Layer, guess: Guess, others: Guess, rng: torch.Generator) -> Iterator[Guess]:
    """The guess after each move, until all have failed in turn: of outputs, then of each window."""
    energy, failed = remains(layer, guess).energy, 0
    windows: list[int] = []
    while failed < TIRED + layer.values.shape[1]:
        if failed < TIRED:
            moved = outputs_opened(layer, guess, rng)
        else:
            windows = windows or torch.randperm(layer.values.shape[1], generator=rng).tolist()
            moved = window_moved(layer, guess, windows.pop(), others, rng)
        reached = remains(layer, moved).energy
        failed += 1
        if reached < GAIN * energy:
            guess, energy, failed = moved, reached, 0
        yield guess


def _finished(layer: Layer, guess: Guess, rng: torch.Generator) -> Guess:
    """The guess with hard winners, as precise as rounding allows."""
    guess = Guess(guess.entered.to(layer.values), guess.winners.to(layer.values))
    sizes, trust = falling(WARM, max(layer.rounding, 1e-4), 8), layer.values.new_ones(1)
    guess = hardened(layer, annealed(layer, guess, sizes, trust, rng))
    tried = list[Guess]()
    for _ in range(PASSES):
        tried.append(polished(layer, guess, at_rounding(layer)))
        if certified(layer, tried[-1]):
            return tried[-1]
        likeliest = layer.cells(layer.linear(tried[-1].entered)).argmax(-1)
        winners = one_hot(likeliest, guess.winners.shape[-1]).to(guess.winners)
        guess = Guess(tried[-1].entered, winners)
    return min(tried, key=lambda guess: _left(layer, guess))


def polished(layer: Layer, guess: Guess, noise: Heat) -> Guess:
    """The same with what entered solved at this heat: by the gradient alone, then, thrice for what
    is at its bounds, with all.
    """
    for now, steps in ((alone(noise), 1), *[(noise, POLISH)] * 3):
        guess = Guess(solved(layer, guess, now, steps=steps, ridge=1e-9), guess.winners)
    return guess


def alone(heat: Heat) -> Heat:
    """The gradient's, where nothing is taken of the values."""
    return Heat(heat.slopes, torch.full_like(heat.values, torch.inf))


def at_rounding(layer: Layer) -> Heat:
    """The heat that rounding makes."""
    slopes = layer.block.noise.flatten(1).square().mean(1).sqrt()
    values = layer.values.new_full((1, 1, 1, 1), layer.rounding * layer.scales[1])
    return Heat(slopes[None], values)


def _in_front(chain: Chain, last: Layer, guess: Guess) -> tuple[Layer, Guess]:
    """The block in front of the last, and what entered it: each neuron of it is on where it gives
    more than 0, which its value alone does not tell of the faintest.
    """
    entered, spread = guess.entered, deviation(last, guess, at_rounding(last))
    errors = last.back(last.behind(guess.winners))[0].flatten(1)
    values = entered.clamp_min(0)[0].flatten(1)
    layer = Layer(chain.blocks[-2], values, errors, last.size)
    active = (entered > SURE * spread).to(entered).flatten(2)[..., None]
    start = entered.new_zeros(1, layer.block.weight.shape[1], *last.size)
    opened, noise = (entered < DOUBTFUL * spread).flatten(2), at_rounding(layer)
    found = polished(layer, Guess(start, active), noise)
    for _ in range(PASSES):
        above = _above(layer, found)
        wrong = (above > WORST * above.max())[None]
        if certified(layer, found) or wrong.all():  # of whom none tells what the others gave
            break
        without = polished(layer, found, noise.left_out(wrong))
        on = layer.cells(layer.linear(without.entered) > 0).to(without.winners)
        tried = Guess(without.entered, torch.where(opened[..., None], on, without.winners))
        winners = paired(layer, tried, noise, wrong, opened)
        winners = torch.where(wrong[:, :, None, None], winners, without.winners)
        found = polished(layer, Guess(without.entered, winners), noise)
    return layer, found


def _above(layer: Layer, guess: Guess) -> Tensor:
    """What a single guess leaves of each output's gradient, beside its rounding, (out,)."""
    away, noise = left(layer, guess)[0], layer.block.noise
    above: Tensor = away.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    return above
