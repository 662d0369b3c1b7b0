"""Which cell of each window gave its value, given what entered the convolution (ours)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib.attacks.exact.guess import Guess, Heat
from uninv_lib.attacks.exact.layer import Layer

PASSES, CHANGES, CLEAR = 2, 12, 1e-3
"""Over the windows; changes of two windows at most; what one must win. Ours, measured on photos."""
FIXED, MEMORY = 1e9, 2**22
"""What changes cost that are not allowed; numbers that are compared at once."""


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

    def of_rows(self, n: Tensor, o: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
        """Of some outputs: alone, (rows, windows, cells), and beside another cell, (rows,
        windows·cells, windows·cells).
        """
        pulls = errors[o].repeat_interleave(self.alone.shape[-1], 1)
        precision = self.precision.expand(len(self.alone), -1)[n, o]
        pairs = self.products[n].flatten(3).flatten(1, 2) * pulls[:, :, None] * pulls[:, None]
        return self.alone[n, o], pairs * precision[:, None, None]


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
    bids = _Bids.of(layer, guess.entered, heat)
    across = bids.products.flatten(3).transpose(2, 3)
    winners, found = guess.winners, guess.winners.clone()
    pulls = winners * layer.errors[:, :, None]
    for _ in range(PASSES):
        for w in torch.randperm(winners.shape[2], generator=rng).tolist():
            pulls[:, :, w] = 0
            others = pulls.flatten(2) @ across[:, w] * bids.precision[:, :, None]
            energy = bids.alone[:, :, w] + layer.errors[:, w, None] * others
            new = (-energy).softmax(-1)
            if opened is not None:
                new = torch.where(opened[:, :, w, None], new, winners[:, :, w])
            found[:, :, w], pulls[:, :, w] = new, new * layer.errors[:, w, None]
    return found


def paired(
    layer: Layer, guess: Guess, heat: Heat, outputs: Tensor, opened: Tensor | None = None
) -> Tensor:
    """Winners of the outputs that are True, (n, out), the likeliest that no change of two windows
    betters, given what entered; those of the others, and those not `opened`, as they are.

    Where patches are alike, two windows of an output often fail together.
    """
    bids, off = _Bids.of(layer, guess.entered, heat), _off(layer, guess.entered, heat)
    found, size = guess.winners.clone(), guess.winners[0, 0].numel()
    for some in outputs.nonzero().split(max(1, MEMORY // size**2)):
        n, o = some.T
        alone, pairs, won = *bids.of_rows(n, o, layer.errors), found[n, o]
        if off is not None:  # no winner is a cell that pulls at nothing
            alone, won = (torch.cat(two, 2) for two in ((alone, off[n, o]), (won, 1 - won)))
            pairs = torch.stack([pairs, torch.zeros_like(pairs)], 3).flatten(2)
            pairs = torch.stack([pairs, torch.zeros_like(pairs)], 2).flatten(1, 2)
        if opened is not None:
            alone = alone + FIXED * (1 - won) * ~opened[n, o][..., None]
        winners = _better_pairs(alone, pairs, won.argmax(-1))
        found[n, o] = one_hot(winners, won.shape[-1])[..., : found.shape[-1]].to(found)
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
    rows = layer.cells(columns.transpose(1, 2).unflatten(2, layer.size))
    found: Tensor = rows.unflatten(1, (-1, layer.block.pool**2))
    return found


def _off(layer: Layer, entered: Tensor, heat: Heat) -> Tensor | None:
    """What it costs that a window of one cell has no winner, (n, out, windows, 1); None for larger
    windows, whose value tells it.
    """
    if layer.block.pool > 1:
        return None
    return layer.cells(layer.linear(entered)).clamp_min(0).square() / (2 * heat.values**2)
