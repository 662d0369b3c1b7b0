"""The search for the samples behind updates: restarts, rounds, and the best of them (eqs. 2 to
7).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uninv_lib.anatomy import features_of
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.inspection.batches import statistics_cost
from uninv_lib.attacks.search.costs import (
    angle_cost,
    dummy_gradient,
    relative_cost,
    total_variation,
)
from uninv_lib.attacks.search.descent import Cost, Descent, Share, annealed, descend, halved
from uninv_lib.attacks.search.fit import doubts, labels_of
from uninv_lib.attacks.search.layerwise import (
    call,
    distance,
    find_inner,
    halves,
    split_of,
)
from uninv_lib.attacks.search.memory import chunk_of
from uninv_lib.attacks.search.operators import twice_differentiable
from uninv_lib.attacks.search.picture import picture_of
from uninv_lib.attacks.search.settings import Settings, changed
from uninv_lib.attacks.search.solved import apart, entering, inner_maps
from uninv_lib.attacks.search.stacking import Data
from uninv_lib.attacks.search.target import Goal, Targets, alike, stack, target_of
from uninv_lib.attacks.session import Session
from uninv_lib.models import logits
from uninv_lib.support.threads import fitting_threads
from uninv_lib.types import Reconstruction


def cost_and_parts(
    targets: Targets, settings: Settings, x: Tensor, goal: Goal, free: list[Tensor]
) -> tuple[Tensor, list[Tensor], Tensor]:
    """What inputs (n, *input_shape) of one target cost, their dummy gradient, and the prior's part
    of the cost, whose weight is what it has faded to.
    """
    slopes = dummy_gradient(targets.net, targets.point, lambda z: goal.known.objective(z, free), x)
    prior = settings.tv * settings.fading * total_variation(x).mean()
    return goal.measure(slopes) + prior, slopes, prior


@dataclass(frozen=True)
class _Search:
    """One recovery of a stack of targets: what the dummy gradients are held against, and how.

    Every kind of start is compared by the same cost; each but "plain" steers by another one. inner:
    what enters the layers behind the split, (targets, n, ...), where it was solved.
    """

    targets: Targets
    settings: Settings
    session: Session
    inner: Tensor | None = None

    def plain(self, variables: list[Tensor], goal: Goal, share: Share) -> tuple[Tensor, Tensor]:
        x, *free = variables
        cost, _, _ = cost_and_parts(self.targets, self.settings, x, goal, free)
        return cost, cost

    def head(self, variables: list[Tensor], goal: Goal, share: Share) -> tuple[Tensor, Tensor]:
        net, point = self.targets.net, self.targets.point
        cost, _ = self.plain(variables, goal, share)
        steered = cost + statistics_cost(net, point, variables[0])
        if goal.known.features is None:
            return cost, steered
        layer = goal.known.layer or self.targets.anatomy.linear
        entered = features_of(net, point, layer, variables[0])
        return cost, steered + relative_cost([entered], [goal.known.features])

    def angle(self, variables: list[Tensor], goal: Goal, share: float) -> tuple[Tensor, Tensor]:
        x, *free = variables
        cost, slopes, prior = cost_and_parts(self.targets, self.settings, x, goal, free)
        return cost, goal.away(angle_cost, slopes, goal.update) + prior if share < 0.5 else cost

    def layerwise(self) -> Cost:
        """Steers by what the picture gives in front of the split, which is to be `inner`."""
        (front, _), point = halves(self.targets.net), self.targets.point

        def cost_of(
            variables: list[Tensor], data: tuple[Goal, Tensor], share: Share
        ) -> tuple[Tensor, Tensor]:
            goal, inner = data
            cost, _ = self.plain(variables, goal, share)
            away = distance(lambda inputs: call(front, point, inputs), variables[0], inner)
            known = statistics_cost(self.targets.net, point, variables[0])
            return cost, cost + 0.1**share * away.mean() + known

        return cost_of

    def descend(
        self, cost_of: Cost, variables: list[Tensor], data: Data, rate: float, *, traced: bool
    ) -> Descent:
        """traced: whether nothing in `cost_of` breaks the trace of a compiler."""
        schedule = halved if self.settings.signed else annealed
        return descend(
            cost_of,
            variables,
            data,
            session=self.session,
            rates=schedule(rate, self.settings.iterations),
            signed=self.settings.signed,
            top=1,
            patience=self.settings.patience,
            compiled=self.settings.compiled and traced,
            watch=self.session.watch,
        )

    def from_noise(self, cost_of: Cost, *, traced: bool) -> list[Descent]:
        draws = [
            0.5 + 0.25 * torch.randn(self.targets.shape, generator=rng) for rng in self.session.rngs
        ]
        start = torch.stack(draws).clamp(0, 1).to(self.targets.like)
        variables = [start, *self.targets.goals.known.free()]
        rate = self.settings.lr
        return [self.descend(cost_of, variables, self.targets.goals, rate, traced=traced)]

    def layer_by_layer(self) -> list[Descent]:
        """One result a round, each round from the picture of the one before."""
        settings, phases, session = self.settings, self.settings.iterations_of(), self.session
        cost_of = self.layerwise()
        picture, free, results = None, self.targets.goals.known.free(), list[Descent]()
        for _ in range(settings.rounds):
            inner = self.inner
            if inner is None:
                inner, free = find_inner(
                    self.targets, picture=picture, free=free, phases=phases, session=session
                )
            start = picture_of(
                self.targets,
                inner,
                picture=picture,
                settings=settings,
                session=session,
            )
            data, rate = (self.targets.goals, inner), 0.3 * settings.lr
            results.append(self.descend(cost_of, [start, *free], data, rate, traced=True))
            picture = results[-1].best
            if (results[-1].cost < settings.enough).all():
                break
        return results

    def results(self, kind: str) -> list[Descent]:
        """Of one restart of this kind."""
        return {
            "plain": lambda: self.from_noise(self.plain, traced=True),
            "head": lambda: self.from_noise(self.head, traced=False),
            "angle": lambda: self.from_noise(self.angle, traced=False),
            "layerwise": self.layer_by_layer,
        }[kind]()


@dataclass
class _Best:
    """The best inputs so far of each target, and the costs of every restart, until its cost is
    below `enough`.
    """

    cost: Tensor
    inputs: Tensor
    history: list[list[Tensor]]
    enough: float

    def offer(self, index: Tensor, found: Descent) -> None:
        sought = (
            self.cost[index] >= self.enough
        )  # others of the batch may need a round that this one does not
        better = sought & (found.cost < self.cost[index])
        self.inputs[index[better]], self.cost[index[better]] = (
            found.best[better],
            found.cost[better],
        )
        for i, row in zip(index[sought].tolist(), found.history[sought], strict=True):
            self.history[i].append(row)


def _best_of(targets: Targets, settings: Settings, session: Session, inner: Tensor | None) -> _Best:
    cut = split_of(targets.net) and targets.goals.known.measure is relative_cost
    kinds = [kind for kind in settings.kinds if kind != "layerwise" or cut] or ["plain"]
    turns = [kinds[i % len(kinds)] for i in range(settings.restarts)]
    best = _Best(
        targets.like.new_full((len(targets),), torch.inf),
        targets.like.new_full((len(targets), *targets.shape), 0.5),
        [[] for _ in range(len(targets))],
        settings.enough,
    )
    one = targets.like.new_zeros(targets.shape)

    def run() -> Tensor:
        return logits(targets.net, targets.point, one)

    with (
        twice_differentiable(run),
        fitting_threads(run),
        session.steps(settings.most(turns), "recovery") as session,
    ):
        for kind in turns:
            todo = (best.cost >= settings.enough).nonzero()[:, 0]
            if not len(todo):
                break
            own = None if inner is None else inner[todo]
            search = _Search(targets.take(todo), settings, session.of(todo.tolist()), own)
            for found in search.results(kind):
                best.offer(todo, found)
    return best


def search(
    requests: Sequence[Inspection], settings: Settings, session: Session
) -> list[Reconstruction]:
    """The samples of each request; those to the same model run as one batch.

    A restart of kind "layerwise" (where the net has convolutions behind a pooling) solves the last
    layers first, see `layerwise`; "plain" goes from noise by the cost alone, "head" also by what
    reached the last layer, "angle" at first by the angles of the gradients. Of several the one with
    the lowest cost is returned. Raises ValueError for models that do not match or do not differ and
    for missing labels; FloatingPointError where every restart met NaN.
    """
    found: dict[int, Reconstruction] = {}
    started = time.perf_counter()
    targets = [target_of(request, error_known=settings.error_known) for request in requests]
    inners = inner_maps(requests, targets, settings, session)
    entered = [entering(inner, target) for inner, target in zip(inners, targets, strict=True)]
    read = (time.perf_counter() - started) / max(1, len(requests))
    for group in apart(alike(targets), entered):
        started, some = time.perf_counter(), stack([targets[i] for i in group])
        within = replace(session.of(group), chunk=chunk_of(some, session.memory))
        inner = [part for i in group if (part := entered[i]) is not None]
        chosen = changed(settings, settings.solved) if inner else settings
        best = _best_of(some, chosen, within, torch.cat(inner) if inner else None)
        if not torch.isfinite(best.cost).all():
            raise FloatingPointError(
                "recovery: the cost was not finite in any restart; try another rng or a lower lr"
            )
        doubted, named = doubts(some, best.inputs), labels_of(some, best.inputs)
        seconds = read + (time.perf_counter() - started) / len(group)
        for place, (i, inputs, labels, history, doubt) in enumerate(
            zip(group, best.inputs, named, best.history, doubted, strict=True)
        ):
            doubt = () if requests[i].drowned else doubt
            remarks, known = requests[i].remarks + targets[i].remarks + doubt, some.goals.known
            features = None if known.features is None else known.features[place]
            loss = torch.stack(history)
            left = {f"layer {name}": part for name, part in inners[i].residuals.items()}
            certain = tuple(f"layer {name}" for name in inners[i].certified)
            found[i] = Reconstruction(
                inputs, labels, loss, seconds, remarks, features, left, certain
            )
    return [found[i] for i in range(len(requests))]
