"""What public data tell of the part of an update that retained samples made, or lack of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from uninv_lib.attacks.adaptive.low_rank import (
    linear_layers,
    moved_by,
    nearest,
    rows_of,
    update_of,
)
from uninv_lib.attacks.search.costs import dummy_gradient
from uninv_lib.models import logits
from uninv_lib.types import WhiteBoxView

MOST, NUMBERS, ENTRIES, GROUP, TRIED, ROUNDS, RIDGE, NEAR = 100, 1e7, 100, 64, 3, 10, 1e-6, 1e-5
"""Directions and numbers in all of them, at most; entries of the update for each, at least, since
more would explain anything; samples of one, at most; rounds of the fit from each start, and from
the better one; the share of their mean squared length that is added to each; how near an update is
to that rank, relatively, for nothing else to be in it (ours)."""


def without_drift(view: WhiteBoxView) -> WhiteBoxView:
    """The update less what public samples in the place of the retained explain of it, as much as
    leaves the linear layers' updates nearest to the rank that the forgotten samples have (ours).

    The directions are the gradients of the public samples that the model before takes for one
    class, were they of another: what training on others does, whoever they are. Their multiples are
    fitted by least squares, in turn with the matrices of that rank. Without public samples the view
    as it is.
    """
    layers = list(linear_layers(view))
    if view.public is None or not layers:
        return view
    update = update_of(view)
    seen = _linear(update, layers).float()
    fit = _Fit(seen, [_shape(update, names) for names in layers], view.num_forgotten)
    if fit.away(seen) <= NEAR * seen.norm():
        return view
    directions = _directions(view, view.public, len(seen) // ENTRIES)
    multiples = fit.multiples(torch.stack([_linear(d, layers).float() for d in directions]))
    found = {
        n: u - sum(m * d[n] for m, d in zip(multiples.double(), directions, strict=True))
        for n, u in update.items()
    }
    return moved_by(view, found)


@dataclass(frozen=True)
class _Fit:
    """seen: the entries of linear layers of these shapes; rank: of what is to be left of each."""

    seen: Tensor
    shapes: list[tuple[int, int]]
    rank: int

    def ranked(self, entries: Tensor) -> Tensor:
        """The entries with each layer's matrix the nearest one of the rank."""
        parts = entries.split([units * inputs for units, inputs in self.shapes])
        near = (nearest(p.reshape(s), self.rank) for p, s in zip(parts, self.shapes, strict=True))
        return torch.cat([part.flatten() for part in near])

    def away(self, entries: Tensor) -> Tensor:
        """How far they are from that rank."""
        distance: Tensor = (entries - self.ranked(entries)).norm()
        return distance

    def multiples(self, directions: Tensor) -> Tensor:
        """(n,), of the directions, (n, entries): the better of what is found from none and from all
        that they explain.
        """
        gram = (directions @ directions.T).double()
        gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)

        def explained(entries: Tensor) -> Tensor:
            told = (directions @ entries).double()
            multiples: Tensor = torch.linalg.solve(gram, told).to(entries)
            return multiples

        def improved(multiples: Tensor, rounds: int) -> Tensor:
            for _ in range(rounds):
                multiples = explained(self.seen - self.ranked(self.seen - multiples @ directions))
            return multiples

        every = explained(self.seen)
        starts = [improved(start, TRIED) for start in (torch.zeros_like(every), every)]
        best = min(starts, key=lambda m: self.away(self.seen - m @ directions).item())
        return improved(best, ROUNDS)


def _shape(update: Mapping[str, Tensor], names: tuple[str, str]) -> tuple[int, int]:
    return len(update[names[1]]), update[names[0]].shape[1] + 1


def _linear(update: Mapping[str, Tensor], layers: list[tuple[str, str]]) -> Tensor:
    return torch.cat([rows_of(update, names).flatten() for names in layers])


def _directions(view: WhiteBoxView, public: Tensor, most: int) -> list[dict[str, Tensor]]:
    """Gradients at the model before, of length 1: for each class that it sees, with as many of the
    labels that it finds likeliest as there is room for.
    """
    names = [name for name, _ in view.net.named_parameters()]
    with torch.no_grad():
        given = torch.cat([logits(view.net, view.before, x) for x in public.split(512)])
    taken = given.argmax(1)
    size = sum(view.before[n].numel() for n in names)
    room = int(min(MOST, most, NUMBERS // size)) // len(taken.unique()) or 1
    found = []
    for own in taken.unique():
        group, mean = public[taken == own][:GROUP], given[taken == own].mean(0)
        for label in mean.argsort(descending=True)[: room + 1]:
            if label == own and room < len(mean):
                continue
            slopes = dummy_gradient(view.net, view.before, _loss_of(label), group)
            length = torch.stack([s.norm() for s in slopes]).norm().double()
            if length:
                found.append({n: s.double() / length for n, s in zip(names, slopes, strict=True)})
    return found


def _loss_of(label: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda given: cross_entropy(given, label.expand(len(given)))
