"""Feature recovery: from the difference of two models to the forgotten samples (eqs. 2 to 7)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import features_of, last_linear
from uninv_lib.attacks.features import analytic, second_order
from uninv_lib.attacks.search.costs import (
    angle_cost,
    cosine_cost,
    dummy_gradient,
    relative_cost,
    total_variation,
)
from uninv_lib.attacks.search.descent import Data, Descent, Share, annealed, descend, halved
from uninv_lib.attacks.search.layerwise import (
    call,
    distance,
    find_inner,
    halves,
    picture_of,
    split_of,
)
from uninv_lib.attacks.search.memory import MEMORY, chunk_of
from uninv_lib.attacks.search.presets import Preset, chosen_preset
from uninv_lib.attacks.search.target import Targets, alike, objective, stack, target_of
from uninv_lib.support.progress import Progress, steps
from uninv_lib.types import Reconstruction, WhiteBoxView


def cost_and_parts(
    targets: Targets, preset: Preset, x: Tensor, data: Data, free: list[Tensor]
) -> tuple[Tensor, list[Tensor], Tensor]:
    """What inputs (n, *input_shape) of one target cost, their dummy gradient, and the prior's part
    of the cost.
    """
    slopes = dummy_gradient(targets.net, targets.point, lambda z: objective(z, data, free), x)
    prior = preset.tv * total_variation(x).mean()
    measure = relative_cost if preset.error_known else cosine_cost
    return measure(slopes, list(data["update"].values())) + prior, slopes, prior


@dataclass(frozen=True)
class _Search:
    """One recovery of a stack of targets: what the dummy gradients are held against, and how."""

    targets: Targets
    preset: Preset
    rngs: Sequence[torch.Generator]
    chunk: int
    tick: Callable[[], None]
    watch: Callable[[Tensor], None] | None

    @cached_property
    def front(self) -> nn.Sequential:
        """The layers in front of the split."""
        return halves(self.targets.net)[0]

    def cost_of(
        self, variables: list[Tensor], data: Data, share: Share, *, kind: str
    ) -> tuple[Tensor, Tensor]:
        """Every kind of start is compared by the same cost; each but "plain" steers by another
        one.
        """
        (x, *free), net, point = variables, self.targets.net, self.targets.point
        cost, slopes, prior = cost_and_parts(self.targets, self.preset, x, data, free)
        if kind == "layerwise":
            away = distance(lambda inputs: call(self.front, point, inputs), x, data["inner"])
            return cost, cost + 0.1**share * away.mean()
        if kind == "head" and "features" in data:
            entered = features_of(net, point, last_linear(net), x)
            return cost, cost + relative_cost([entered], [data["features"]])
        if kind == "angle" and share < 0.5:
            return cost, angle_cost(slopes, list(data["update"].values())) + prior
        return cost, cost

    def descend(self, kind: str, variables: list[Tensor], data: Data, rate: float) -> Descent:
        schedule = halved if self.preset.signed else annealed
        return descend(
            lambda v, d, share: self.cost_of(v, d, share, kind=kind),
            variables,
            data,
            rates=schedule(rate, self.preset.iterations),
            chunk=self.chunk,
            tick=self.tick,
            signed=self.preset.signed,
            top=1,
            patience=self.preset.patience,
            compiled=self.preset.compiled
            and kind in ("layerwise", "plain"),  # nothing in them that breaks the trace
            watch=self.watch,
        )

    def from_noise(self, kind: str) -> list[Descent]:
        draws = [0.5 + 0.25 * torch.randn(self.targets.shape, generator=rng) for rng in self.rngs]
        start = torch.stack(draws).clamp(0, 1).to(next(iter(self.targets.data["update"].values())))
        return [
            self.descend(kind, [start, *self.targets.free()], self.targets.data, self.preset.lr)
        ]

    def layer_by_layer(self) -> list[Descent]:
        """One result a round, each round from the picture of the one before."""
        preset, phases = self.preset, self.preset.iterations_of()
        words: dict[str, Any] = {"rngs": self.rngs, "chunk": self.chunk, "tick": self.tick}
        picture, free, results = None, self.targets.free(), list[Descent]()
        for _ in range(preset.rounds):
            inner, free = find_inner(
                self.targets, picture=picture, free=free, phases=phases, **words
            )
            start = picture_of(
                self.targets,
                inner,
                picture=picture,
                tv=preset.tv,
                phases=phases,
                watch=self.watch,
                **words,
            )
            data = {**self.targets.data, "inner": inner}
            results.append(self.descend("layerwise", [start, *free], data, 0.3 * preset.lr))
            picture = results[-1].best
            if (results[-1].cost < preset.enough).all():
                break
        return results


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


def _recover(
    targets: Targets,
    preset: Preset,
    rngs: Sequence[torch.Generator],
    chunk: int,
    progress: Progress,
    watch: Callable[[Tensor], None] | None,
) -> _Best:
    kinds = [kind for kind in preset.kinds if kind != "layerwise" or split_of(targets.net)] or [
        "plain"
    ]
    turns = [kinds[i % len(kinds)] for i in range(preset.restarts)]
    layers = preset.iterations_of().most(preset.rounds) + (preset.rounds - 1) * preset.iterations
    most = preset.restarts * preset.iterations + turns.count("layerwise") * layers
    like = next(iter(targets.data["update"].values()))
    best = _Best(
        like.new_full((len(targets),), torch.inf),
        like.new_full((len(targets), *targets.shape), 0.5),
        [[] for _ in range(len(targets))],
        preset.enough,
    )
    with steps(most, "recovery", progress) as tick:
        for kind in turns:
            todo = (best.cost >= preset.enough).nonzero()[:, 0]
            if not len(todo):
                break
            search = _Search(
                targets.take(todo), preset, [rngs[j] for j in todo.tolist()], chunk, tick, watch
            )
            for found in (
                search.layer_by_layer() if kind == "layerwise" else search.from_noise(kind)
            ):
                best.offer(todo, found)
    return best


def _second_order(
    view: WhiteBoxView,
    rng: torch.Generator,
    preset: Preset,
    progress: Progress,
    watch: Callable[[Tensor], None] | None,
) -> Reconstruction:
    if view.public is None:
        raise ValueError("view.public: None; preset 'second_order' assumes public samples")
    with steps(preset.iterations, "recovery", progress) as tick:
        return second_order.recover(
            view, rng=rng, iterations=preset.iterations, tv=preset.tv, tick=tick, watch=watch
        )


def recover_features(
    view: WhiteBoxView,
    *,
    rng: torch.Generator,
    preset: str = "fast",
    progress: Progress = False,
    callback: Callable[[int, Tensor], None] | None = None,
    **settings: Any,
) -> Reconstruction:
    """Rebuild the forgotten samples from the two models.

    preset: "paper", the published attack, which assumes `view.labels`; "fast" (ours, the default),
    which reads the output error softmax − onehot off the last bias's update (of several samples,
    off the last layer's: `separation`) and backpropagates it through the dummy input, so that no
    label is needed; "best", the same with more time; "analytic", the closed form, which "fast" and
    "best" take by themselves where it `applies`; "second_order", for a last layer trained to
    convergence, which assumes `view.public`. settings: any field of `Preset` (iterations, restarts,
    lr, tv, patience, ...). callback(step, inputs) sees the pictures as they emerge, the steps
    counted on from start to start.

    A restart of kind "layerwise" (the default, where the net has convolutions behind a pooling)
    solves the last layers first, see `layerwise`; "plain" goes from noise by the cost alone, "head"
    also by what reached the last layer, "angle" at first by the angles of the gradients. Of several
    the one with the lowest cost is returned.

    Raises ValueError for an unknown preset or setting, models that do not match or do not differ,
    missing labels; FloatingPointError where every restart met NaN.
    """
    counter = count()
    watch = None if callback is None else lambda stacked: callback(next(counter), stacked[0])
    return recover_batch(
        [view], rngs=[rng], preset=preset, progress=progress, watch=watch, **settings
    )[0]


def recover_batch(
    views: Sequence[WhiteBoxView],
    *,
    rngs: Sequence[torch.Generator],
    preset: str = "fast",
    progress: Progress = False,
    watch: Callable[[Tensor], None] | None = None,
    memory: float = MEMORY,
    **settings: Any,
) -> list[Reconstruction]:
    """The same for several requests at once, a generator each; those to the same model run as one
    batch.

    What is found of a request does not depend on the others beyond rounding. watch sees the
    pictures of all that still move, (targets, n, ...). memory: bytes that one iteration may take;
    more targets go in chunks. Reconstruction.seconds is each request's share of its batch.
    """
    chosen = chosen_preset(preset, settings)
    if len(rngs) != len(views):
        raise ValueError(f"rngs: {len(rngs)} for {len(views)} views; allowed: one each")
    found: dict[int, Reconstruction] = {}
    for i, view in enumerate(views):
        if preset == "analytic" and not analytic.applies(view):
            raise ValueError(
                f"preset: 'analytic' with {view.num_forgotten} forgotten; allowed: "
                f"{analytic.APPLIES}"
            )
        if preset == "second_order":
            found[i] = _second_order(view, rngs[i], chosen, progress, watch)
        elif preset != "paper" and analytic.applies(view):
            found[i] = analytic.recover(view)
    rest = [i for i in range(len(views)) if i not in found]
    started = time.perf_counter()
    targets = [target_of(views[i], error_known=chosen.error_known) for i in rest]
    read = (time.perf_counter() - started) / max(1, len(rest))
    for group in alike(targets):
        started, some = time.perf_counter(), stack([targets[j] for j in group])
        chunk = chunk_of(some, memory)
        best = _recover(some, chosen, [rngs[rest[j]] for j in group], chunk, progress, watch)
        if not torch.isfinite(best.cost).all():
            raise FloatingPointError(
                "recovery: the cost was not finite in any restart; try another rng or a lower lr"
            )
        seconds = read + (time.perf_counter() - started) / len(group)
        for j, inputs, labels, history in zip(
            group, best.inputs, some.labels, best.history, strict=True
        ):
            found[rest[j]] = Reconstruction(inputs, labels, torch.stack(history), seconds)
    return [found[i] for i in range(len(views))]
