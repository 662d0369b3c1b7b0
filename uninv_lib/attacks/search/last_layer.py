"""Several samples in one update: each one's output error and last features, from the last layer
alone (ours).

The last layer's update is Σ e_k [h_k, 1]ᵀ, a matrix of rank K: its rows span the features, and all
that is unknown is how they mix, K x K numbers. But a sample's error is no free number. It is
softmax(W h_k + b) − onehot, so a mixing is right only where the errors that its features *cause*
give the update back: 10 K equations for 10 classes. The cost of a wrong set of labels stays well
above zero, so the labels are found as well. Behind a ReLU there is a shorter way, `by_zeros`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from uninv_lib.anatomy import Anatomy, features_of
from uninv_lib.attacks.exact.rows import ending
from uninv_lib.attacks.exact.zeros import by_zeros, errors_of
from uninv_lib.attacks.search.descent import annealed
from uninv_lib.attacks.search.update import labels_of_bias
from uninv_lib.types import State, WhiteBoxView

STEPS, RATE, ROUNDS, SOLVED, SURE = 500, 0.1, 12, 1e-6, 1e-4
"""Steps and rate of Adam, most rounds of the search for labels, the cost at which it ends, and that
at which no other start is tried. Ours, measured on photos with 2 to 8 samples."""
CHECKED, EVEN, TOLD_APART = 128, 0.01, 0.01
"""Features, at most, whose sign the search checks; how far below the strongest direction of the
update a direction may lie and still count as much; the cost above which the samples were not told
apart."""


@dataclass(frozen=True)
class Separated:
    """labels: (k,) int64; errors: (k, classes), softmax − onehot of each sample; features: (k,
    features), what reached the last layer; cost: in [0, 2], near 0 where the three explain the
    update.
    """

    labels: Tensor
    errors: Tensor
    features: Tensor
    cost: float


def separate(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]
) -> Separated:
    """The forgotten samples in the update of the last layer, made at `point`; the names in both are
    those of `anatomy`.

    Raises ValueError for more samples than the rank can tell apart, one less than the classes.
    """
    names, count = anatomy.head, view.num_forgotten
    weight, bias, slopes, errors = (
        part[name].cpu().double() for part in (point, update) for name in names
    )
    most = most_apart(weight)
    if not 1 <= count <= most:
        raise ValueError(
            f"num_forgotten: {count}; allowed with {len(bias)} classes and {slopes.shape[1]} "
            f"features: 1 to {most}"
        )
    rows = torch.cat([slopes, errors[:, None]], 1)
    problem = _Problem(weight, bias, rows, count, signed(anatomy, point))
    if view.labels is not None:
        return problem.solve(view.labels.cpu()[None], starts=16)[0]
    found = list[Separated]()
    for known in problem.starts():
        found.append(problem.searched(known))
        if found[-1].cost < SURE:
            break
    return min(found, key=lambda one: one.cost)


def most_apart(weight: Tensor) -> int:
    """Samples, at most, that the rank of a last layer's update can tell apart."""
    classes, features = weight.shape
    return min(classes - 1, features + 1)


@torch.no_grad()
def signed(anatomy: Anatomy, point: State) -> bool:
    """Whether what reaches the last layer can be negative, as noise for inputs shows."""
    noise = torch.rand(8, *anatomy.input_shape, generator=torch.Generator().manual_seed(0))
    noise = noise.to(point[anatomy.head[0]])
    return bool((features_of(anatomy.net, point, anatomy.linear, noise) < 0).any())


def _neighbours(labels: Tensor, classes: int, fixed: int) -> Tensor:
    """(n, count): every set of labels that differs in one sample, not of the first ones, each
    once.
    """
    kept, labels = labels[:fixed], labels[fixed:].sort().values
    place, label = torch.eye(len(labels), dtype=torch.long), torch.arange(classes)
    changed = torch.where(place[:, None].bool(), label[:, None], labels).flatten(0, 1)
    sets = changed.sort(1).values.unique(dim=0)
    other = sets[(sets != labels).any(1)]
    return torch.cat([kept.expand(len(other), -1), other], 1)


@dataclass(frozen=True)
class _Problem:
    weight: Tensor
    bias: Tensor
    update: Tensor  # (classes, features + 1)
    count: int
    signed: bool  # whether features can be negative

    def starts(self) -> Iterator[Tensor]:
        """(n, count), the mixing of those whom the zeros of their features tell apart, and, last,
        of nobody.
        """
        for sparse in () if self.signed else (False, True):
            rng = torch.Generator().manual_seed(0)
            given = by_zeros(self.update, self.weight, self.bias, self.count, rng, sparse=sparse)
            if len(given):
                yield sqrt(self.count) * normalize(given @ self._rows.T)
        yield self._rows[:0, : self.count]

    def searched(self, known: Tensor) -> Separated:
        """With labels that are searched; known: (n, count), of the first samples' mixing."""
        solve, fixed = partial(self.solve, known=known), len(known)
        best = solve(self._labels(known), starts=16)[0]
        for _ in range(ROUNDS):
            if best.cost < SOLVED or fixed == self.count:
                break
            near = _neighbours(best.labels, len(self.bias), fixed)
            closest = torch.stack([s.labels for s in solve(near, starts=4, steps=STEPS // 4)])
            tried = solve(closest, starts=16)[0]
            if tried.cost >= best.cost:
                break
            best = tried
        return best

    def _labels(self, known: Tensor) -> Tensor:
        """(sets, count): of the known, those whose errors lie best in the update, and of the others
        by what these leave of the bias's; where all are known, also whom each one's part of the
        update pulls down.
        """
        left = torch.linalg.svd(self.update, full_matrices=False).U[:, : self.count]
        given = ending(known @ self._rows)
        labels, errors, _ = errors_of(given, self.weight, self.bias, left)
        if len(known) == self.count:
            return torch.stack([labels, (self.update @ torch.linalg.pinv(given)).argmin(0)])
        told, rest = errors.T @ given, self.update[:, -1]
        if len(known):
            rest = rest - (told * self.update).sum() / told.square().sum() * errors.sum(0)
        return torch.cat([labels, labels_of_bias(rest, self.count - len(known))])[None]

    def solve(
        self, labels: Tensor, *, starts: int, steps: int = STEPS, known: Tensor | None = None
    ) -> list[Separated]:
        """The best of several starts for each of these sets of labels, (sets, count), the lowest
        cost first; known: (n, count), where the mixing of the first samples starts.
        """
        fixed = 0 if known is None else len(known)
        if known is not None and fixed == self.count:
            every = [self._polished(some, known) for some in labels]
            return sorted(every, key=lambda solved: solved.cost)
        rng = torch.Generator().manual_seed(0)
        mixing = torch.randn(
            len(labels), starts, self.count, self.count, generator=rng, dtype=torch.double
        )
        if known is not None:
            mixing[:, :, :fixed] = known
        mixing.requires_grad_()
        cost_of = self._cost_of(one_hot(labels, len(self.bias)).double()[:, None])
        optimiser = torch.optim.Adam([mixing], RATE)
        for rate in annealed(RATE, steps):
            optimiser.param_groups[0]["lr"] = rate
            mixing.grad = torch.autograd.grad(cost_of(mixing)[0].sum(), mixing)[0]
            optimiser.step()
        cost, start = cost_of(mixing)[0].min(1)
        return [self._polished(labels[i], mixing[i, start[i]]) for i in cost.argsort()[:3].tolist()]

    def _polished(self, labels: Tensor, mixing: Tensor) -> Separated:
        """The solution near this one, to the precision of the numbers."""
        rows, cost_of = self._rows, self._cost_of(one_hot(labels, len(self.bias)).double())
        free = mixing.detach().clone().requires_grad_()
        optimiser = torch.optim.LBFGS(
            [free], max_iter=200, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            cost: Tensor = cost_of(free)[0]
            free.grad = torch.autograd.grad(cost, free)[0]
            return cost

        optimiser.step(closure)
        with torch.no_grad():
            cost, errors, scaled = cost_of(free)
        return Separated(labels, errors, scaled @ rows[:, :-1], cost.item())

    @cached_property
    def _rows(self) -> Tensor:
        """(count, features + 1), orthonormal: what the features span."""
        span: Tensor = torch.linalg.svd(self.update, full_matrices=False).Vh[: self.count]
        return span

    def _cost_of(self, onehot: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """mixing (..., count, count) -> (cost, errors, the mixing with rows scaled so that they end
        in 1).
        """
        rows, rng = self._rows, torch.Generator().manual_seed(0)
        checked = torch.randperm(rows.shape[1] - 1, generator=rng)[:CHECKED]
        entered, toward, seen = rows[:, checked], rows[:, :-1] @ self.weight.T, self.update @ rows.T
        evenly = 1 / (seen.norm(dim=0) + EVEN * seen.norm())
        seen = seen * evenly / (seen * evenly).norm()

        def cost_of(mixing: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            scaled = mixing / (mixing @ rows[:, -1:])
            errors = (scaled @ toward + self.bias).softmax(-1) - onehot
            caused = errors.mT @ scaled * evenly
            cost = 1 - (caused * seen).sum((-2, -1)) / caused.flatten(-2).norm(dim=-1)
            if not self.signed:
                features = scaled @ entered
                cost = cost + features.clamp(max=0).square().sum((-2, -1)) / features.square().sum(
                    (-2, -1)
                )
            return cost.nan_to_num(torch.inf), errors, scaled

        return cost_of
