"""Feature recovery: from the difference of two models to the forgotten samples (eqs. 2 to 7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from uninv_lib.attacks import analytic, second_order
from uninv_lib.attacks.costs import angle_cost, cosine_cost, dummy_gradient, relative_cost, total_variation
from uninv_lib.attacks.layerwise import Inner, annealed, find_inner, most_steps, picture_of, split_of
from uninv_lib.attacks.presets import Preset, chosen_preset
from uninv_lib.attacks.separation import TOLD_APART, separate
from uninv_lib.attacks.update import forgotten_gradient, labels_of_bias
from uninv_lib.layers import features_of, head
from uninv_lib.progress import Progress, steps
from uninv_lib.types import Reconstruction, State, WhiteBoxView


def _anneal(preset: Preset, iteration: int) -> float:
    """The learning rate: halved three times as published, or half a cosine."""
    if preset.signed:
        return preset.lr * 0.5 ** sum(iteration / preset.iterations >= milestone / 8 for milestone in (3, 5, 7))
    return annealed(preset.lr, iteration, preset.iterations)


Cost = Callable[[Tensor, list[Tensor], float], tuple[Tensor, Tensor]]
"""(inputs, free variables, share of the iterations done) -> the cost that counts, and the one that steers."""


@dataclass
class _Best:
    cost: Tensor
    inputs: Tensor

    def offer(self, cost: Tensor, inputs: Tensor) -> None:
        better = cost < self.cost  # False for NaN
        self.cost = torch.where(better, cost, self.cost)
        self.inputs = torch.where(better, inputs, self.inputs)


def _restart(
    cost_of: Cost,
    start: Tensor,
    extra: list[Tensor],
    preset: Preset,
    tick: Callable[[], None],
    watch: Callable[[Tensor], None] | None,
) -> tuple[_Best, Tensor]:
    """One optimisation from `start`; the best inputs met and the cost at each iteration."""
    x = start.clone().requires_grad_()
    free = [e.clone().requires_grad_() for e in extra]
    optimiser: torch.optim.Optimizer = (torch.optim.AdamW if preset.signed else torch.optim.Adam)([x, *free], preset.lr)
    best = _Best(torch.full_like(start.sum(), torch.inf), start)
    history = start.new_full((preset.iterations,), torch.nan)
    landmark, since = torch.inf, 0
    for i in range(preset.iterations):
        for group in optimiser.param_groups:
            group["lr"] = _anneal(preset, i)
        cost, steered = cost_of(x, free, i / preset.iterations)
        history[i] = cost.detach()
        best.offer(cost.detach(), x.detach())
        tick()
        if i % 25 == 0:  # the only moments at which the loop waits for the device
            if not torch.isfinite(cost):
                break
            since = 0 if best.cost < 0.999 * landmark else since + 25
            landmark = min(landmark, best.cost.item()) if since == 0 else landmark
            if preset.patience is not None and since >= preset.patience:
                break
        for variable, slope in zip([x, *free], torch.autograd.grad(steered, [x, *free]), strict=True):
            variable.grad = slope.sign() if preset.signed else slope
        optimiser.step()
        with torch.no_grad():
            x.clamp_(0, 1)
        if watch is not None:
            watch(x.detach())
    return best, history


@dataclass(frozen=True)
class _Target:
    """What the dummy's gradient must imitate: objective(logits, free variables), the start of these variables, the
    labels, and what reached the last layer, (num_forgotten, features), where the update tells it."""

    objective: Callable[[Tensor, list[Tensor]], Tensor]
    free: list[Tensor]
    labels: Tensor
    features: Tensor | None = None


def _target(view: WhiteBoxView, point: State, update: dict[str, Tensor], preset: Preset) -> _Target:
    """Known errors where the last layer's update tells them, the dummies' own cross-entropy for the published loop."""
    slopes, errors = (update[name] for name in head(view.net))
    if not preset.error_known:
        if view.labels is None:
            raise ValueError("view.labels: None; preset 'paper' assumes the forgotten samples' labels")
        labels = view.labels.to(errors.device)
        return _Target(lambda z, free: cross_entropy(z, labels), [], labels)
    labels = labels_of_bias(errors, view.num_forgotten) if view.labels is None else view.labels
    if view.num_forgotten == 1:  # the update is δ hᵀ, and δ is known
        features = (slopes.T @ errors)[None] / errors.square().sum()
        return _Target(lambda z, free: (z * errors).sum(), [], labels.to(errors.device), features)
    if view.num_forgotten < len(errors):
        found = separate(view, point, update)
        if found.cost < TOLD_APART:
            each = found.errors.to(errors) * (errors.norm() / found.errors.sum(0).norm()).to(errors)
            features = found.features.to(errors)
            return _Target(lambda z, free: (z * each).sum(), [], found.labels.to(errors.device), features)
    onehot = one_hot(labels.to(errors.device), len(errors)).to(errors)

    def shared(z: Tensor, free: list[Tensor]) -> Tensor:
        # Only the sum of the errors is known, up to scale: each is softmax − onehot, its softmax found on the way.
        each = free[0].softmax(1) - onehot
        return (z * each).sum() * errors.abs().sum() / each.sum(0).abs().sum()

    return _Target(shared, [torch.zeros_like(onehot)], labels.to(errors.device))


@dataclass(frozen=True)
class _Search:
    """One recovery: what the dummy gradient is held against, and how."""

    view: WhiteBoxView
    point: State
    update: dict[str, Tensor]  # scaled to length 1
    sought: _Target
    preset: Preset
    rng: torch.Generator
    tick: Callable[[], None]
    watch: Callable[[Tensor], None] | None

    def cost_of(
        self, x: Tensor, free: list[Tensor], share: float, *, kind: str, inner: Inner | None = None
    ) -> tuple[Tensor, Tensor]:
        """Every kind of start is compared by the same cost; each but "plain" steers by another one."""
        slopes = dummy_gradient(self.view.net, self.point, lambda z: self.sought.objective(z, free), x)
        target, prior = list(self.update.values()), self.preset.tv * total_variation(x).mean()
        cost = (relative_cost if self.preset.error_known else cosine_cost)(slopes, target) + prior
        if inner is not None:
            return cost, cost + 0.01**share * inner.distance(x).mean()
        if kind == "head" and self.sought.features is not None:
            last = head(self.view.net)[0].removesuffix(".weight")
            entered = features_of(self.view.net, self.point, last, x)
            return cost, cost + (entered - self.sought.features).abs().sum() / self.sought.features.abs().sum()
        if kind == "angle" and share < 0.5:
            return cost, angle_cost(slopes, target) + prior
        return cost, cost

    def from_noise(self, kind: str) -> list[tuple[_Best, Tensor]]:
        shape = (self.view.num_forgotten, *self.view.input_shape)
        start = (0.5 + 0.25 * torch.randn(shape, generator=self.rng)).clamp(0, 1).to(next(iter(self.update.values())))
        return [_restart(partial(self.cost_of, kind=kind), start, self.sought.free, self.preset, self.tick, self.watch)]

    def layer_by_layer(self) -> list[tuple[_Best, Tensor]]:
        """One result a round, each round from the picture of the one before."""
        shape, net = (self.view.num_forgotten, *self.view.input_shape), self.view.net
        words: dict[str, Any] = {"rng": self.rng, "iterations": self.preset.iterations, "tick": self.tick}
        gentle, picture, free = replace(self.preset, lr=0.3 * self.preset.lr), None, self.sought.free
        results: list[tuple[_Best, Tensor]] = []
        for _ in range(self.preset.rounds):
            words["picture"] = picture
            inner = find_inner(
                net, self.point, self.update, self.sought.objective, free, shape, features=self.sought.features, **words
            )
            start = picture_of(inner, shape, tv=self.preset.tv, watch=self.watch, **words)
            cost = partial(self.cost_of, kind="layerwise", inner=inner)
            results.append(_restart(cost, start, inner.free, gentle, self.tick, self.watch))
            picture, free = results[-1][0].inputs, inner.free
            if results[-1][0].cost < self.preset.enough:
                break
        return results


def _second_order(
    view: WhiteBoxView,
    rng: torch.Generator,
    preset: Preset,
    progress: Progress,
    callback: Callable[[int, Tensor], None] | None,
) -> Reconstruction:
    if view.public is None:
        raise ValueError("view.public: None; preset 'second_order' assumes public samples")
    counter = count()
    watch = None if callback is None else lambda inputs: callback(next(counter), inputs)
    with steps(preset.iterations, "recovery", progress) as tick:
        return second_order.recover(view, rng=rng, iterations=preset.iterations, tv=preset.tv, tick=tick, watch=watch)


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

    preset: "paper", the published attack, which assumes `view.labels`; "fast" (ours, the default), which reads the
    output error softmax − onehot off the last bias's update (of several samples, off the last layer's: `separation`)
    and backpropagates it through the dummy input, so that no label is needed; "best", the same with more time;
    "analytic", the closed form, which "fast" and "best" take by themselves where it `applies`; "second_order", for a
    last layer trained to convergence, which assumes `view.public`.
    settings: any field of `Preset` (iterations, restarts, lr, tv, patience, ...).
    callback(step, inputs) sees the pictures as they emerge, the steps counted on from start to start.

    A restart of kind "layerwise" (the default, where the net has convolutions behind a pooling) solves the last layers
    first, see `layerwise`; "plain" goes from noise by the cost alone, "head" also by what reached the last layer,
    "angle" at first by the angles of the gradients. Of several the one with the lowest cost is returned.

    Raises ValueError for an unknown preset or setting, models that do not match or do not differ, missing labels;
    FloatingPointError where every restart met NaN.
    """
    chosen = chosen_preset(preset, settings)
    if preset == "analytic" and not analytic.applies(view):
        raise ValueError(f"preset: 'analytic' with {view.num_forgotten} forgotten; allowed: {analytic.APPLIES}")
    if preset == "second_order":
        return _second_order(view, rng, chosen, progress, callback)
    if preset != "paper" and analytic.applies(view):
        return analytic.recover(view)
    started = time.perf_counter()
    update, point = forgotten_gradient(view)
    scale = torch.stack([change.norm() for change in update.values()]).norm()
    update = {name: change / scale for name, change in update.items()}
    sought = _target(view, point, update, chosen)
    kinds = [kind for kind in chosen.kinds if kind != "layerwise" or split_of(view.net)] or ["plain"]
    rounds = chosen.rounds if "layerwise" in kinds else 1
    most = chosen.restarts * chosen.iterations * rounds
    most += ("layerwise" in kinds) * most_steps(chosen.iterations, rounds)
    counter = count()
    watch = None if callback is None else lambda inputs: callback(next(counter), inputs)
    results: list[tuple[_Best, Tensor]] = []
    with steps(most, "recovery", progress) as tick:
        search = _Search(view, point, update, sought, chosen, rng, tick, watch)
        for i in range(chosen.restarts):
            if results and min(r[0].cost.item() for r in results) < chosen.enough:
                break
            kind = kinds[i % len(kinds)]
            results += search.layer_by_layer() if kind == "layerwise" else search.from_noise(kind)
    best = min((result[0] for result in results), key=lambda b: b.cost.item())
    if not torch.isfinite(best.cost):
        raise FloatingPointError("recovery: the cost was not finite in any restart; try another rng or a lower lr")
    loss = torch.stack([history for _, history in results])
    return Reconstruction(best.inputs, sought.labels, loss, time.perf_counter() - started)
