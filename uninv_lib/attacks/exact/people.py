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

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from uninv_lib.attacks.exact.apart import told_apart
from uninv_lib.attacks.exact.rows import CLEAR, Rows, Slopes, ending

ABOVE, SUMS, UNITS = 1.1, 16.0, 512
"""How many times what rounding alone would make a singular value is to count as a person, and how
many times what the arithmetic of sums would make beside the largest; and the units that are looked
at, at most, those that moved farthest."""


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


def people_in(
    change: Tensor, noise: Tensor, layer: Tensor, slopes: Slopes, *, most: int, eps: float
) -> People | None:
    """Who is in the update of a layer; None where nobody is told apart, or more than `most` stand
    above rounding.

    change: (units, inputs + 1), of [W, b], not all 0; noise: its deviation by rounding, the same
    shape; layer: [W, b] itself; slopes: see `Slopes`; eps: of the arithmetic that unlearning used.
    All float64 on the CPU; draws from no global generator.
    """
    moved = _Moved.of(change, torch.hypot(noise, eps * change.abs()), eps)
    rows = moved.rows(layer, slopes)
    mixed = told_apart(rows) if moved.above <= most else rows.changes[:0]
    if not len(mixed):
        return None
    rows = rows.of(len(mixed))
    entered = rows.entered(mixed)
    errors = (mixed @ rows.changes.T) * rows.active(entered)
    return moved.people(errors)


@dataclass(frozen=True)
class _Moved:
    """The update of the units that moved farthest, `plain` in units of its rounding, which is about
    of_unit x of_input; left, sizes, right: its singular values with their vectors.
    """

    change: Tensor
    chosen: Tensor
    plain: Tensor
    of_unit: Tensor
    of_input: Tensor
    eps: float
    left: Tensor
    sizes: Tensor
    right: Tensor

    @classmethod
    def of(cls, change: Tensor, noise: Tensor, eps: float) -> _Moved:
        far = (change / noise).norm(dim=1)
        chosen = far.argsort(descending=True)[: min(UNITS, int(far.count_nonzero()))].sort().values
        of_unit = noise[chosen].square().mean(1, keepdim=True).sqrt()
        of_input = (noise[chosen] / of_unit).square().mean(0).sqrt()
        of_input = of_input.clamp_min(1e-6 * of_input.median())
        plain = change[chosen] / of_unit / of_input
        parts = torch.linalg.svd(plain, full_matrices=False)
        return cls(change, chosen, plain, of_unit, of_input, eps, *parts)

    @property
    def above(self) -> int:
        """How many directions stand above rounding."""
        rounding = ABOVE * sum(map(sqrt, self.plain.shape))
        return int((self.sizes > max(rounding, SUMS * self.eps * float(self.sizes[0]))).sum())

    def rows(self, layer: Tensor, slopes: Slopes) -> Rows:
        """The update in these directions."""
        above = self.above
        rough = max(1.0, float(self.sizes[above:].norm() / sqrt(self.plain.numel())))
        changes = self.left[:, :above] * self.sizes[:above]
        span = self.right[:above] * self.of_input

        def seen(entered: Tensor) -> Tensor:
            return slopes(entered[:, :-1])[..., self.chosen] / self.of_unit[:, 0]

        return Rows(changes, span, layer[self.chosen], seen, CLEAR * rough)

    def people(self, errors: Tensor) -> People:
        """Those with these errors, (k, chosen units), each up to scale."""
        shares = torch.linalg.pinv(errors.T)
        found = shares @ self.plain * self.of_input
        scale, entered = found[:, -1:], ending(found)
        inverse = torch.linalg.pinv((entered / self.of_input).T)
        every = inverse @ (self.change / self.of_input).T
        unsolved = self.sizes[len(errors) : len(errors) + 1].sum() / sqrt(min(self.plain.shape))
        each = (shares.norm(dim=1) / scale[:, 0]).abs() * unsolved.clamp_min(1)
        size, last = entered.square().mean(1).sqrt(), self.of_input[-1]  # which tells the scale
        spread = each * torch.hypot(self.of_input.median(), size * last)
        rough = self.of_unit.median() * inverse.norm(dim=1) * sqrt(len(self.change))
        rough = rough * unsolved.clamp_min(1)
        return People(self.above, entered[:, :-1], every, spread, rough)
