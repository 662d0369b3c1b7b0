"""The update of a linear layer in a basis of its row space, with a ReLU behind the layer: which
mixtures of its rows vanish where (ours, see `people`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import normalize

TOLD, CLEAR, SHOWN = 5.0, 3.0, 50.0
"""How many times its rounding an entry must be to count as other than 0, a person's entries to
count as theirs, and to be held against what the layer's weights say."""
FAINT, SHARP, SWEEPS = 0.1, 1e-3, 15
"""What is shut for somebody moves less than this share of what is open; beside the largest entry,
what may be 0 at first, ten times less in each sweep; and the most sweeps."""
SPARE, WRONG, VAGUE = 2, 0.02, 2.0
"""Zeros that chance would not give; the share of units about which an input may be wrong; and by
how many times rounding a second mixture must not vanish for the first to be the only one."""

Slopes = Callable[[Tensor], Tensor]
"""What enters a layer, (n, inputs), -> the loss's slopes in what it gives, (n, labels, units), for
each label that the sample may have."""


@dataclass(frozen=True)
class Rows:
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

    def of(self, count: int) -> Rows:
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
        return ending(torch.linalg.pinv(mixed.T) @ self.span)

    def active(self, entered: Tensor) -> Tensor:
        """(n, units): whether the ReLU lets through what n inputs make of a unit."""
        return entered @ self.layer.T > 0

    def shut_by(self, directions: Tensor) -> Tensor:
        """(n, units): what inputs in these directions of the span, (n, k), would shut."""
        return ~self.active(ending(directions @ self.span))

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
            rough = rms(given, shut).clamp(1, self.rough)
            tried = torch.maximum(TOLD * rough, given.amax(1) * SHARP * 10.0**-i)
            zeros = given < tried[:, None]
            if i and torch.equal(zeros, shut):
                break
            shut = zeros
            mixed, vague = self.vanishing(shut)
        given = mixed @ self.changes.T
        holds = (shut.sum(1) >= self.changes.shape[1] + SPARE) & ~vague
        moved = rms(given, ~shut)
        holds &= rms(given, shut) < FAINT * moved
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


def ending(entered: Tensor) -> Tensor:
    """Scaled so that each ends in 1."""
    return entered / entered[:, -1:]


def rms(values: Tensor, where: Tensor) -> Tensor:
    """(n,): the root of the mean square of values at these places, both (n, units)."""
    return ((values.square() * where).sum(1) / where.sum(1).clamp_min(1)).sqrt()
