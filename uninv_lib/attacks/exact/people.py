"""Several people in the update of one linear layer with a ReLU behind it, each exactly (after
SPEAR, Dimitrov et al. 2024, arXiv 2403.03945).

The update of weights and bias is Σ e_k [x_k, 1]ᵀ, and e_k is 0 at each unit that the ReLU shut for
person k. Its row space has one direction a person, so the e_k are known up to a mixture of K x K
numbers, and the right mixture is the one with the zeros. SPEAR draws units at random until all of
them are shut for one person. Here both models are known (ours): any guess at an input says by the
layer's own weights which units it would shut, so that guesses made of the update's rows, each of
which mends itself, find people without a draw; who is found takes a direction from the others; and
units that moved although they should be shut refuse what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import normalize

TOLD, ABOVE = 5.0, 1.1
"""How many times its rounding an entry is to count as other than 0; and how many times what
rounding alone would make a singular value, to count as a person."""
UNITS, PAIRS, ROUNDS, SWEEPS = 512, 256, 6, 15
"""Units that are looked at, at most, those that moved farthest; guesses of a round, rounds, and
sweeps of mending, at most."""
SPARE, APART, WRONG = 2, 0.02, 0.02
"""Zeros that chance would not give; the least singular value of people who are no mixtures of each
other; and the share of units about which an input may be wrong."""
FAINT, REST, CLEAR = 0.1, 1.5, 3.0
"""What is shut for somebody moves less than this share of what is open, or by so many times
rounding where what is open moves by so many."""
SHARP, SHOWN, FEW, TRIES, VAGUE, ALIKE, HELD, LIES = 1e-3, 50.0, 3, 24, 2.0, 0.9995, 6, 1e-3
"""Beside the largest entry, what may be 0 at first; ten times less in each sweep."""

Slopes = Callable[[Tensor], Tensor]
"""What enters a layer, (n, inputs), -> the loss's slopes in what it gives, (n, labels, units), for
each label that the sample may have."""


@dataclass(frozen=True)
class People:
    """above: how many people stand above rounding; entered: (found, inputs), what entered the layer
    of each who was told apart; errors: (found, units), their parts of the bias's update; spread:
    (found,), the deviation that rounding leaves in `entered`; rough: (found,), the length of
    what it leaves in `errors`. All float64.
    """

    above: int
    entered: Tensor
    errors: Tensor
    spread: Tensor
    rough: Tensor

    def __len__(self) -> int:
        return len(self.entered)


def people_in(change: Tensor, noise: Tensor, layer: Tensor, slopes: Slopes) -> People:
    """Who is in the update of a layer.

    change: (units, inputs + 1), of [W, b]; noise: its deviation by rounding, the same shape; layer:
    [W, b] itself; slopes: see `Slopes`. All float64 on the CPU; draws from no global generator.
    """
    moved = _Moved.of(change, noise)
    above, rows = moved.rows(layer, slopes)
    mixed = _told_apart(rows)
    rows = rows.of(len(mixed))
    entered = rows.entered(mixed)
    errors = (mixed @ rows.changes.T) * rows.active(entered)
    return moved.people(above, errors)


@dataclass(frozen=True)
class _Moved:
    """The update of the units that moved farthest, `plain` in units of its rounding, which is about
    of_unit x of_input; sizes: its singular values.
    """

    change: Tensor
    chosen: Tensor
    plain: Tensor
    of_unit: Tensor
    of_input: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, change: Tensor, noise: Tensor) -> _Moved:
        far = (change / noise).norm(dim=1)
        chosen = far.argsort(descending=True)[: min(UNITS, int(far.count_nonzero()))].sort().values
        of_unit = noise[chosen].square().mean(1, keepdim=True).sqrt()
        of_input = (noise[chosen] / of_unit).square().mean(0).sqrt()
        of_input = of_input.clamp_min(1e-6 * of_input.median())
        plain = change[chosen] / of_unit / of_input
        return cls(change, chosen, plain, of_unit, of_input, torch.linalg.svdvals(plain))

    def rows(self, layer: Tensor, slopes: Slopes) -> tuple[int, _Rows]:
        """How many directions stand above rounding, and the update in them."""
        left, sizes, right = torch.linalg.svd(self.plain, full_matrices=False)
        above = int((self.sizes > ABOVE * sum(map(sqrt, self.plain.shape))).sum())
        rough = max(1.0, float(sizes[above:].norm() / sqrt(self.plain.numel())))
        changes, span = left[:, :above] * sizes[:above], right[:above] * self.of_input

        def seen(entered: Tensor) -> Tensor:
            return slopes(entered[:, :-1])[..., self.chosen] / self.of_unit[:, 0]

        return above, _Rows(changes, span, layer[self.chosen], seen, CLEAR * rough)

    def people(self, above: int, errors: Tensor) -> People:
        """Those with these errors, (k, chosen units), each up to scale."""
        shares = torch.linalg.pinv(errors.T)
        found = shares @ self.plain * self.of_input
        scale, entered = found[:, -1:], _ending(found)
        inverse = torch.linalg.pinv((entered / self.of_input).T)
        every = inverse @ (self.change / self.of_input).T
        unsolved = self.sizes[len(errors) : len(errors) + 1].sum() / sqrt(min(self.plain.shape))
        each = (shares.norm(dim=1) / scale[:, 0]).abs() * unsolved.clamp_min(1)
        size, last = entered.square().mean(1).sqrt(), self.of_input[-1]  # which tells the scale
        spread = each * torch.hypot(self.of_input.median(), size * last)
        own = self.of_unit.median() * inverse.norm(dim=1) * sqrt(len(self.change))
        own = own * unsolved.clamp_min(1)
        rough = torch.hypot(own, every.norm(dim=1) * each * last)
        return People(above, entered[:, :-1], every, spread, rough)


@dataclass(frozen=True)
class _Rows:
    """changes: (units, k), the update in a basis of its row space, in which the rounding of each
    entry has deviation 1 and so has that of its product with a vector of length 1; span: (k, inputs
    + 1), that basis; layer: (units, inputs + 1), [W, b]; rough: by how many deviations an entry may
    be off, for what is left out; slopes: of these units, of what is like `span`.
    """

    changes: Tensor
    span: Tensor
    layer: Tensor
    slopes: Slopes
    rough: float

    def of(self, count: int) -> _Rows:
        """The same with the strongest directions alone."""
        left = float(self.changes[:, count:].norm() / sqrt(len(self.changes)))
        changes, span = self.changes[:, :count], self.span[:count]
        return replace(self, changes=changes, span=span, rough=max(self.rough, left))

    @property
    def even(self) -> tuple[Tensor, Tensor]:
        """The changes with columns of length 1, and their lengths."""
        lengths = self.changes.norm(dim=0)
        return self.changes / lengths, lengths

    def entered(self, mixed: Tensor) -> Tensor:
        """(k, inputs + 1), ending in 1, of a mixing (k, k): what enters follows from everybody
        *else's* errors.
        """
        return _ending(torch.linalg.pinv(mixed.T) @ self.span)

    def active(self, entered: Tensor) -> Tensor:
        """(n, units): whether the ReLU lets through what n inputs make of a unit."""
        return entered @ self.layer.T > 0

    def shut_by(self, directions: Tensor) -> Tensor:
        """(n, units): what inputs in these directions of the span, (n, k), would shut."""
        return ~self.active(_ending(directions @ self.span))

    def vanishing(self, shut: Tensor) -> tuple[Tensor, Tensor]:
        """Mixtures that vanish best at these units beside the others, (n, units) -> (n, k), of
        length 1; and whether there are two such, (n,), as where one person is open wherever
        another one is.
        """
        even, lengths = self.even
        _, sizes, right = torch.linalg.svd(even * shut[..., None], full_matrices=False)
        mixed = right[:, -2:] / lengths
        rough = mixed.norm(dim=2)
        beside = sizes[:, -2:][:, 0] / rough[:, 0] / shut.sum(1).clamp_min(1).sqrt()
        strong = 1 / rough[:, 0] / sqrt(len(even)) > SHOWN * self.rough
        return mixed[:, -1] / rough[:, -1:], (beside < VAGUE) & strong

    def sparse(self, shut: Tensor) -> Tensor:
        """The same of units a part of which may be shut, (n, units) -> (n, k): least sum of
        logarithms, by least squares weighted again and again.
        """
        even, lengths = self.even
        mixed = torch.linalg.svd(even * shut[..., None], full_matrices=False).Vh[:, -1]
        for i in range(SWEEPS):
            given = mixed @ even.T
            near = given.abs().amax(1, keepdim=True) * 10 ** (-1 - 2 * i / SWEEPS)
            weight = torch.where(shut, 1, 0.01) / (given.square() + near.square())
            curve = (even * weight[..., None]).mT @ even
            mixed = torch.linalg.eigh(curve).eigenvectors[..., 0]
        return normalize(mixed / lengths)

    def refined(self, shut: Tensor) -> tuple[Tensor, Tensor]:
        """Mixtures that one person may have, from units that may be shut: those that the layer's
        weights confirm, and those too faint for it.
        """
        mixed = self.sparse(shut)
        for i in range(SWEEPS):
            given = (mixed @ self.changes.T).abs()
            rough = _rms(given, shut).clamp(1, self.rough)
            tried = torch.maximum(TOLD * rough, given.amax(1) * SHARP * 10.0**-i)
            zeros = given < tried[:, None]
            if i and torch.equal(zeros, shut):
                break
            shut = zeros
            mixed, vague = self.vanishing(shut)
        given = mixed @ self.changes.T
        holds = (shut.sum(1) >= self.changes.shape[1] + SPARE) & ~vague
        moved = _rms(given, ~shut)
        holds &= _rms(given, shut) < FAINT * moved
        sure = self.separable(~shut)
        return mixed[holds & sure], mixed[holds & ~sure & (moved < SHOWN * self.rough)]

    def made(self, entered: Tensor) -> tuple[Tensor, Tensor]:
        """(n, k): mixtures with the errors that the net makes of this, (n, inputs + 1), by the
        label with which they lie in the update; and the share of them that does not, (n,).
        """
        even, lengths = self.even
        errors = normalize(self.slopes(entered), dim=2)
        mixed = errors @ even
        share, best = mixed.norm(dim=2).max(1)
        away = (1 - share.square()).clamp_min(0).sqrt()
        return normalize(mixed[torch.arange(len(best)), best] / lengths), away

    def separable(self, active: Tensor) -> Tensor:
        """(n,): whether there is an input of this span for which the layer would open these units,
        (n, units), and shut the others; by logistic regression.
        """
        reached = normalize(self.layer @ self.span.T)
        sign = 2 * active.double() - 1
        weight = reached.new_zeros(len(active), reached.shape[1])
        ridge = 1e-4 * torch.eye(reached.shape[1]).to(reached)
        for _ in range(SWEEPS):
            away = torch.sigmoid(-(sign * (weight @ reached.T)).clamp(-30, 30))
            slope = (sign * away) @ reached - weight @ ridge
            curve = torch.einsum("nu,uk,ul->nkl", away * (1 - away), reached, reached) + ridge
            weight = weight + torch.linalg.solve(curve, slope)
        return (sign * (weight @ reached.T) < 0).double().mean(1) < WRONG


def _ending(entered: Tensor) -> Tensor:
    """Scaled so that each ends in 1."""
    return entered / entered[:, -1:]


def _rms(values: Tensor, where: Tensor) -> Tensor:
    return ((values.square() * where).sum(1) / where.sum(1).clamp_min(1)).sqrt()


def _told_apart(whole: _Rows) -> Tensor:
    """The mixing (k, k) of the most people that the units prove: as many as there are directions,
    else fewer; and then, one by one, who comes free with each direction more.
    """
    for count in range(whole.changes.shape[1], 0, -1):
        mixed = _searched(whole.of(count))
        if mixed is not None:
            return _grown(whole, mixed)
    return whole.changes.new_zeros(0, 0)


def _grown(whole: _Rows, mixed: Tensor) -> Tensor:
    for count in range(len(mixed) + 1, whole.changes.shape[1] + 1):
        known, rows = whole.of(count - 1), whole.of(count)
        found = rows.vanishing(~known.active(known.entered(mixed)))[0]
        more = _proof(rows, found, found[:0], torch.Generator().manual_seed(0))
        if more is None:
            break
        mixed = more
    return mixed


def _searched(rows: _Rows) -> Tensor | None:
    """All people of these directions, or None."""
    count, rng = rows.changes.shape[1], torch.Generator().manual_seed(0)
    found, guesses = rows.changes.new_zeros(0, count), rows.changes
    for _ in range(ROUNDS if count > 1 else 0):
        sure, faint = rows.refined(rows.shut_by(guesses))
        found = _distinct(rows, torch.cat([found, sure]))
        mixed = _proof(rows, found, faint, rng)
        if mixed is not None:
            return mixed
        if len(found) == count:  # somebody among them is nobody
            found = found[torch.randperm(count, generator=rng)[: count // 2]]
        guesses = _further(rows, found, rng)
    return None if count > 1 else _mended(rows, rows.changes.new_ones(1, 1))


def _proof(
    rows: _Rows, found: Tensor, faint: Tensor, rng: torch.Generator
) -> Tensor | None:
    """The first proven mixing with those who are found, the last ones faint or guessed."""
    tried = (_mended(rows, mixed) for mixed in _completed(rows, found, faint, rng))
    return next((mixed for mixed in tried if mixed is not None), None)


def _completed(
    rows: _Rows, found: Tensor, faint: Tensor, rng: torch.Generator
) -> Iterator[Tensor]:
    """Mixings (k, k) of them; who is guessed lies across the others' mixtures, so that the last one
    comes free.
    """
    count = rows.changes.shape[1]
    if len(found) < count - FEW:
        return
    for known in (_apart(rows, torch.cat([found, _distinct(rows, faint)])), found):
        missing = count - len(known)
        free = torch.linalg.qr(known.mT, mode="complete").Q[:, len(known) :].mT
        for _ in range(TRIES if missing > 1 else 1):
            guess = torch.randn(missing, missing, generator=rng, dtype=torch.double) @ free
            yield torch.cat([known, rows.vanishing(rows.shut_by(guess))[0]])


def _distinct(rows: _Rows, mixed: Tensor) -> Tensor:
    """Each once, those that vanish at the most units first."""
    zeros = ((mixed @ rows.changes.T).abs() < TOLD * rows.rough).sum(1)
    return _apart(rows, mixed[zeros.argsort(descending=True)])


def _apart(rows: _Rows, mixed: Tensor) -> Tensor:
    """Those that are no mixtures of others before them, as many as there are directions at most."""
    errors, kept = normalize(mixed @ rows.changes.T), list[int]()
    for i in range(len(mixed)):
        if not kept or torch.linalg.svdvals(errors[[*kept, i]])[-1] > APART:
            kept.append(i)
    return mixed[kept[: mixed.shape[1]]]


def _further(rows: _Rows, found: Tensor, rng: torch.Generator) -> Tensor:
    """(n, k): guesses at the directions of the others, who lie across the found ones' mixtures: of
    two units each, and of what the found ones leave of a unit.
    """
    free = torch.linalg.qr(found.mT, mode="complete").Q[:, len(found) :]
    across = normalize(rows.changes @ free) @ free.T
    first, second = torch.randint(len(across), (2, PAIRS), generator=rng)
    share = 2 * torch.rand(PAIRS, 1, generator=rng, dtype=torch.double) - 1
    pairs = across[first] * (1 - share.abs()) + across[second] * share
    errors = rows.changes @ found.T
    rest = rows.changes - errors @ torch.linalg.pinv(errors) @ rows.changes
    return torch.cat([pairs, rest])


def _mended(rows: _Rows, mixed: Tensor) -> Tensor | None:
    """The mixing near this one, (k, k), at which every unit agrees with what entered it; None where
    there is none. Who is open wherever another one is could have any part of the other's errors:
    there the net above tells.
    """
    before = None
    for i in range(SWEEPS if len(mixed) > 1 else 0):
        entered = rows.entered(mixed)
        active = rows.active(entered)
        sharp, vague = rows.vanishing(~active)
        if before is not None and torch.equal(active, before) and not vague.any():
            break
        if i >= HELD or i > 0 and not vague.any():
            mixed, before = sharp, active
        if vague.any():
            made, away = rows.made(entered)
            taken = (vague & (away <= 2 * away[vague].min())) | (away < LIES)
            mixed = torch.where(taken[:, None], made, mixed)
    return mixed if _proven(rows, mixed) else None


def _proven(rows: _Rows, mixed: Tensor) -> bool:
    """Whether no unit moved for a person to whom it was shut, by far more than rounding, and the
    net makes of each what the update shows, where it shows it well.
    """
    entered, errors = rows.entered(mixed), mixed @ rows.changes.T
    active = rows.active(entered)
    at_rest, moved = _rms(errors, ~active), _rms(errors, active)
    clear = (at_rest < FAINT * moved) | ((at_rest < REST) & (moved > CLEAR))
    apart = torch.linalg.svdvals(normalize(errors))[-1] > 1e-4
    if not (clear.all() and apart):
        return False
    fits = torch.cosine_similarity(rows.made(entered)[0] @ rows.changes.T, errors).abs()
    return bool(((fits > ALIKE) | (moved < SHOWN * rows.rough)).all())
