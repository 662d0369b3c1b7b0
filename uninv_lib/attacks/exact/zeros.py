"""Several samples told apart by the zeros of what each gave the last layer (after SPEAR, Dimitrov
et al. 2024, arXiv 2403.03945).

The last layer's update is Σ e_k [h_k, 1]ᵀ. Behind a ReLU a third to two thirds of each h_k are 0.
Of all mixtures of the update's rows, one vanishes where h_k does: with K samples, K − 1 features
that are 0 for sample k give it, so they are drawn at random until many more vanish with them and
nothing is negative. SPEAR finds the zeros of errors so, behind a ReLU; here they are the features'
(ours). What is found proves itself: the error that the net makes of it must lie in the update. Who
is found takes a direction from the others, so that they need fewer zeros (ours).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import normalize

from uninv_lib.attacks.exact.rows import ending

DRAWS, TURNS, KEPT, SEEN = 8192, 4, 512, 20.0
"""Draws of features at a time, and how often they may find nobody; the best of them that are looked
at; and how many deviations of rounding a feature must stand out to be drawn. Ours,
as all numbers here; measured on photos."""
ROUGH, ZERO, SPARE, PASSES = 12.0, 4.0, 3, 6
"""Deviations within which a feature counts as 0 at first and in the end; zeros that chance would
not give; and rounds in which those are found again."""
MOST = 16
"""People for whom enough zeros can be drawn."""
ALONE, NEGATIVE, OUTSIDE = 3.0, 0.01, 0.02
"""By how many times rounding a second mixture must not vanish with the first; the share of the
features that may be negative; and the part of its error that may lie outside the update."""


def by_zeros(
    update: Tensor,
    weight: Tensor,
    bias: Tensor,
    count: int,
    rng: torch.Generator,
    *,
    sparse: bool = False,
) -> Tensor:
    """(n, features + 1), ending in 1: what each of the samples who were told apart gave the last
    layer; n is at most `count`, and less where the others are too faint beside these. Nobody for
    more than MOST, and where errors or features have too few dimensions to prove anything.

    update: (classes, features + 1), of [weight, bias], all float64; sparse: of those who are proven
    the one with the most zeros is taken first, else the one who is proven best.
    """
    given = update[:0]
    if count > min(MOST, len(update) - 2, update.shape[1] - 2):
        return given
    for some in range(count, 0, -1):
        given = Mixed.of(update, weight, bias, some).given(rng, given[:0], 1, sparse)
        if len(given) == some:
            break
    return Mixed.of(update, weight, bias, count).given(rng, given, TURNS, sparse)


@dataclass(frozen=True)
class Mixed:
    """The update of a last layer: rows, (k, features + 1), in an orthonormal basis of its columns,
    `left`, (classes, k), in units of its rounding; weight, bias: of the layer. All float64.
    """

    rows: Tensor
    left: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, update: Tensor, weight: Tensor, bias: Tensor, count: int) -> Mixed:
        """update: (classes, features + 1), of `count` samples, fewer than classes; what their
        number does not explain of it is its rounding.
        """
        left, sizes, right = torch.linalg.svd(update, full_matrices=False)
        spare = (len(sizes) - count) * (update.shape[1] - count)
        least = torch.finfo(update.dtype).eps * float(sizes[0])
        rounding = max(float(sizes[count:].norm()) / sqrt(spare), least)
        rows = sizes[:count, None] / rounding * right[:count]
        return cls(rows, left[:, :count], weight, bias)

    def given(self, rng: torch.Generator, given: Tensor, turns: int, sparse: bool) -> Tensor:
        """What each of those gave who were told apart, (n, features + 1), ending in 1; given: of
        some who are known already; turns: draws that find nobody before it is given up; sparse: see
        `by_zeros`.
        """
        failed = 0
        while len(given) < len(self.rows) and failed < turns:
            errors = normalize(self._made(given)[1], dim=1) @ self.left
            free = torch.linalg.svd(errors, full_matrices=True).Vh[len(given) :]
            tried = ending(_vanishing(free @ self.rows, rng) @ free @ self.rows)
            away = self._made(tried)[2]
            order = torch.arange(len(away)) if sparse else away.argsort()
            proven = tried[order][away[order] < OUTSIDE][:1]
            failed = 0 if len(proven) else failed + 1
            given = torch.cat([given, proven])
        return given

    def _made(self, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return errors_of(given, self.weight, self.bias, self.left)


def errors_of(
    given: Tensor, weight: Tensor, bias: Tensor, left: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of what each sample gave, (n, features + 1): the label with which its error lies best in the
    span of `left`, (classes, k); that error, (n, classes); and the part of it outside, (n,).
    """
    answers = (given[:, :-1] @ weight.T + bias).softmax(1)
    every = answers[:, None] - torch.eye(len(bias)).to(answers)
    share, label = (normalize(every, dim=2) @ left).norm(dim=2).max(1)
    away = (1 - share.square()).clamp_min(0).sqrt()
    return label, every[torch.arange(len(label)), label], away


def _vanishing(rows: Tensor, rng: torch.Generator) -> Tensor:
    """Mixtures of these rows, (k, features + 1), of length 1, that vanish at many features and are
    negative at none, (n, k), the one with the most zeros first.
    """
    count = len(rows)
    if count == 1:
        return rows[:1, -1:].sign()
    shown = rows[:, :-1][:, rows[:, :-1].norm(dim=0) > SEEN * sqrt(count)]
    if shown.shape[1] < count + SPARE:
        return rows[:0, :count]
    drawn = torch.rand(DRAWS, shown.shape[1], generator=rng).topk(count - 1).indices
    zeros = normalize(shown.T[drawn], dim=2)
    tried = _upward(torch.linalg.svd(zeros).Vh[:, -1], rows)
    given = tried @ shown
    score = (given.abs() < ROUGH).sum(1) - count * (given < -ROUGH).sum(1)
    score[(given > ROUGH).sum(1) < count + SPARE] = -shown.shape[1]  # nobody, or too faint
    best = tried[score.topk(KEPT).indices]
    sharp = [found for one in _apart(best) if (found := _sharpened(one, shown)) is not None]
    if not sharp:
        return rows[:0, :count]
    found = _upward(torch.stack(sharp), rows)
    given = found @ shown
    found = found[(given < -ROUGH).double().mean(1) < NEGATIVE]
    most = ((found @ shown).abs() < ZERO).sum(1)
    return found[most.argsort(descending=True)]


def _upward(mixtures: Tensor, rows: Tensor) -> Tensor:
    """Of the two signs the one with which the bias's entry is above 0, as each sample gives 1."""
    return mixtures * (mixtures @ rows[:, -1:]).sign()


def _apart(mixtures: Tensor) -> list[Tensor]:
    """Those that are like none before them."""
    found = list[Tensor]()
    while len(mixtures):
        found.append(mixtures[0])
        mixtures = mixtures[1:][(mixtures[1:] @ mixtures[0]).abs() < 0.999]
    return found


def _sharpened(mixture: Tensor, shown: Tensor) -> Tensor | None:
    """The one that vanishes best where this does, (k,); None where there are too few zeros or two
    such mixtures.
    """
    zeros = (mixture @ shown).abs() < ROUGH
    for _ in range(PASSES):
        if int(zeros.sum()) < len(shown) + SPARE:
            return None
        _, sizes, right = torch.linalg.svd(shown[:, zeros].T, full_matrices=False)
        mixture = right[-1]
        before, zeros = zeros, (mixture @ shown).abs() < ZERO
        if torch.equal(zeros, before):
            break
    alone = bool(sizes[-2] > ALONE * sqrt(int(before.sum())))
    return mixture if alone else None
