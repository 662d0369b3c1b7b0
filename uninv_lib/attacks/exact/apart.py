"""People told apart in the rows of an update: guesses that mend themselves, and the proof of what
they become (ours, see `people`).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from uninv_lib.attacks.exact.rows import CLEAR, FAINT, SHOWN, SWEEPS, TOLD, Rows, rms

PAIRS, ROUNDS, LEVELS, FEW, TRIES, HELD = 256, 6, 10, 3, 24, 6
"""Guesses of a round; rounds; how many numbers of people are tried; how many may be missing for who
is found to be completed by guesses, and how many of those; and sweeps in which only what is vague
is mended. Ours, measured on photos and digits with 2 to 16 samples, as the others below."""
APART, REST, ALIKE, LIES = 0.02, 1.5, 0.9995, 1e-3
"""The least singular value of people who are no mixtures of each other; by how many times rounding
what is shut may move at least; the cosine with the update's of the errors that the net makes of who
is right; and the share of these that may lie outside the update for them to be taken instead."""


def told_apart(whole: Rows) -> Tensor:
    """The mixing (k, k) of the most people that the units prove: as many as there are directions,
    else somewhat fewer; and then, one by one, who comes free with each direction more.
    """
    most = whole.changes.shape[1]
    for count in range(most, max(0, most - LEVELS), -1):
        mixed = _searched(whole.of(count))
        if mixed is not None:
            return _grown(whole, mixed)
    return whole.changes.new_zeros(0, 0)


def _grown(whole: Rows, mixed: Tensor) -> Tensor:
    for count in range(len(mixed) + 1, whole.changes.shape[1] + 1):
        known, rows = whole.of(count - 1), whole.of(count)
        found = rows.vanishing(~known.active(known.entered(mixed)))[0]
        more = _proof(rows, found, found[:0], torch.Generator().manual_seed(0))
        if more is None:
            break
        mixed = more
    return mixed


def _searched(rows: Rows) -> Tensor | None:
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


def _proof(rows: Rows, found: Tensor, faint: Tensor, rng: torch.Generator) -> Tensor | None:
    """The first proven mixing with those who are found, the last ones faint or guessed."""
    tried = (_mended(rows, mixed) for mixed in _completed(rows, found, faint, rng))
    return next((mixed for mixed in tried if mixed is not None), None)


def _completed(rows: Rows, found: Tensor, faint: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
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


def _distinct(rows: Rows, mixed: Tensor) -> Tensor:
    """Each once, those that vanish at the most units first."""
    zeros = ((mixed @ rows.changes.T).abs() < TOLD * rows.rough).sum(1)
    return _apart(rows, mixed[zeros.argsort(descending=True)])


def _apart(rows: Rows, mixed: Tensor) -> Tensor:
    """Those that are no mixtures of others before them, as many as there are directions at most."""
    errors, kept = normalize(mixed @ rows.changes.T), list[int]()
    for i in range(len(mixed)):
        if not kept or torch.linalg.svdvals(errors[[*kept, i]])[-1] > APART:
            kept.append(i)
    return mixed[kept[: mixed.shape[1]]]


def _further(rows: Rows, found: Tensor, rng: torch.Generator) -> Tensor:
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


def _mended(rows: Rows, mixed: Tensor) -> Tensor | None:
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
        if i >= HELD or (i > 0 and not vague.any()):
            mixed, before = sharp, active
        if vague.any():
            made, away = rows.made(entered)
            taken = (vague & (away <= 2 * away[vague].min())) | (away < LIES)
            mixed = torch.where(taken[:, None], made, mixed)
    return mixed if _proven(rows, mixed) else None


def _proven(rows: Rows, mixed: Tensor) -> bool:
    """Whether no unit moved for a person to whom it was shut, by far more than rounding, and the
    net makes of each what the update shows, where it shows it well.
    """
    entered, errors = rows.entered(mixed), mixed @ rows.changes.T
    active = rows.active(entered)
    at_rest, moved = rms(errors, ~active), rms(errors, active)
    clear = (at_rest < FAINT * moved) | ((at_rest < REST) & (moved > CLEAR))
    apart = torch.linalg.svdvals(normalize(errors))[-1] > 1e-4
    if not (clear.all() and apart):
        return False
    fits = torch.cosine_similarity(rows.made(entered)[0] @ rows.changes.T, errors).abs()
    return bool(((fits > ALIKE) | (moved < SHOWN * rows.rough)).all())
