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

from uninv_lib.attacks import analytic
from uninv_lib.attacks.costs import angle_cost, cosine_cost, dummy_gradient, features_of, relative_cost, total_variation
from uninv_lib.attacks.layerwise import Inner, annealed, find_inner, most_steps, picture_of, split_of
from uninv_lib.attacks.update import forgotten_gradient, head, labels_of_bias
from uninv_lib.progress import Progress, steps
from uninv_lib.types import Reconstruction, State, WhiteBoxView


@dataclass(frozen=True)
class Preset:
    """Settings of the optimisation. tv: weight of the total variation; patience: iterations without a better cost (by
    one part in a thousand) after which a restart ends, None for never; enough: cost below which no further restart or
    round is made; rounds: of `layerwise`, each from the picture before; kinds: restarts take these in turn."""

    error_known: bool
    signed: bool
    lr: float
    iterations: int
    restarts: int
    tv: float
    patience: int | None
    enough: float = 0.0
    rounds: int = 1
    kinds: tuple[str, ...] = ("plain",)


PRESETS = {
    # The best of the costs and weights that we tried (ours). No kind of start finds every picture, and the cost tells
    # which one did.
    "fast": Preset(
        error_known=True,
        signed=False,
        lr=0.1,
        iterations=300,
        restarts=1,
        tv=0.3,
        patience=150,
        enough=0.05,
        rounds=2,
        kinds=("layerwise", "head", "angle"),
    ),
    # The official code: signed AdamW, lr 0.04 halved at 3/8, 5/8 and 7/8, TV 1e-2, 10,000 x 5 from Gaussian noise.
    "paper": Preset(
        error_known=False,
        signed=True,
        lr=0.04,
        iterations=10_000,
        restarts=5,
        tv=0.01,
        patience=None,
    ),
}


def _anneal(preset: Preset, iteration: int) -> float:
    """The learning rate: halved three times as published, or half a cosine."""
    if preset.signed:
        return preset.lr * 0.5 ** sum(iteration / preset.iterations >= milestone / 8 for milestone in (3, 5, 7))
    return annealed(preset.lr, iteration, preset.iterations)


KINDS = ("plain", "head", "angle", "layerwise")

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


def _objectives(
    view: WhiteBoxView, bias: Tensor, preset: Preset
) -> tuple[Callable[[Tensor, list[Tensor]], Tensor], list[Tensor], Tensor]:
    """(function of logits and free variables whose gradient imitates the update, start of the variables, labels).

    bias: (classes,), the last bias's update, which is the sum of the forgotten samples' output errors.
    """
    known = view.labels is not None
    labels = view.labels if view.labels is not None else labels_of_bias(bias, view.num_forgotten)
    labels = labels.to(bias.device)
    if not preset.error_known:
        if not known:
            raise ValueError("view.labels: None; preset 'paper' assumes the forgotten samples' labels")
        return (lambda z, free: cross_entropy(z, labels)), [], labels
    if view.num_forgotten == 1:
        return (lambda z, free: (z * bias).sum()), [], labels
    onehot = one_hot(labels, len(bias)).to(bias)

    def shared(z: Tensor, free: list[Tensor]) -> Tensor:
        # Only the sum of the errors is known, up to scale: each is softmax − onehot, its softmax found on the way.
        errors = free[0].softmax(1) - onehot
        return (z * errors).sum() * bias.abs().sum() / errors.sum(0).abs().sum()

    return shared, [torch.zeros_like(onehot)], labels


@dataclass(frozen=True)
class _Search:
    """One recovery: what the dummy gradient is held against, and how."""

    view: WhiteBoxView
    point: State
    update: dict[str, Tensor]  # scaled to length 1
    objective: Callable[[Tensor, list[Tensor]], Tensor]
    extra: list[Tensor]
    preset: Preset
    rng: torch.Generator
    tick: Callable[[], None]
    watch: Callable[[Tensor], None] | None

    @property
    def features(self) -> Tensor | None:
        """What reached the last linear layer: one sample's update there is δ hᵀ, and δ is known."""
        weight, bias = (self.update[name] for name in head(self.view.net))
        return (weight.T @ bias) / bias.square().sum() if self.view.num_forgotten == 1 else None

    def cost_of(
        self, x: Tensor, free: list[Tensor], share: float, *, kind: str, inner: Inner | None = None
    ) -> tuple[Tensor, Tensor]:
        """Every kind of start is compared by the same cost; each but "plain" steers by another one."""
        slopes = dummy_gradient(self.view.net, self.point, lambda z: self.objective(z, free), x)
        target, prior = list(self.update.values()), self.preset.tv * total_variation(x).mean()
        cost = (relative_cost if self.preset.error_known else cosine_cost)(slopes, target) + prior
        if inner is not None:
            return cost, cost + 0.01**share * inner.distance(x).mean()
        if kind == "head" and self.features is not None:
            last = head(self.view.net)[0].removesuffix(".weight")
            entered = features_of(self.view.net, self.point, last, x)
            return cost, cost + (entered - self.features).abs().sum() / self.features.abs().sum()
        if kind == "angle" and share < 0.5:
            return cost, angle_cost(slopes, target) + prior
        return cost, cost

    def from_noise(self, kind: str) -> list[tuple[_Best, Tensor]]:
        shape = (self.view.num_forgotten, *self.view.input_shape)
        start = (0.5 + 0.25 * torch.randn(shape, generator=self.rng)).clamp(0, 1).to(next(iter(self.update.values())))
        return [_restart(partial(self.cost_of, kind=kind), start, self.extra, self.preset, self.tick, self.watch)]

    def layer_by_layer(self) -> list[tuple[_Best, Tensor]]:
        """One result a round, each round from the picture of the one before."""
        shape, net = (self.view.num_forgotten, *self.view.input_shape), self.view.net
        words: dict[str, Any] = {"rng": self.rng, "iterations": self.preset.iterations, "tick": self.tick}
        gentle, picture, free = replace(self.preset, lr=0.3 * self.preset.lr), None, self.extra
        results: list[tuple[_Best, Tensor]] = []
        for _ in range(self.preset.rounds):
            words["picture"] = picture
            inner = find_inner(
                net, self.point, self.update, self.objective, free, shape, features=self.features, **words
            )
            start = picture_of(inner, shape, tv=self.preset.tv, watch=self.watch, **words)
            cost = partial(self.cost_of, kind="layerwise", inner=inner)
            results.append(_restart(cost, start, inner.free, gentle, self.tick, self.watch))
            picture, free = results[-1][0].inputs, inner.free
            if results[-1][0].cost < self.preset.enough:
                break
        return results


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
    output error softmax − onehot off the last bias's update and backpropagates it through the dummy input, so that
    no label is needed; for one sample and a fully connected first layer "fast" is the closed form of `analytic`.
    settings: any field of `Preset` (iterations, restarts, lr, tv, patience, ...).
    callback(step, inputs) sees the pictures as they emerge, the steps counted on from start to start.

    A restart of kind "layerwise" (the default, where the net has convolutions behind a pooling) solves the last layers
    first, see `layerwise`; "plain" goes from noise by the cost alone, "head" also by what reached the last layer,
    "angle" at first by the angles of the gradients. Of several the one with the lowest cost is returned.

    Raises ValueError for an unknown preset or setting, models that do not match or do not differ, missing labels;
    FloatingPointError where every restart met NaN.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset: {preset!r}; allowed: {', '.join(PRESETS)}")
    unknown = set(settings) - set(Preset.__dataclass_fields__)
    if unknown:
        raise ValueError(f"settings: {sorted(unknown)}; allowed: {', '.join(Preset.__dataclass_fields__)}")
    chosen = replace(PRESETS[preset], **settings)
    for name in ("iterations", "restarts", "rounds"):
        if getattr(chosen, name) < 1:
            raise ValueError(f"{name}: {getattr(chosen, name)}; allowed: 1 or more")
    if not chosen.kinds or set(chosen.kinds) - set(KINDS):
        raise ValueError(f"kinds: {chosen.kinds}; allowed: some of {', '.join(KINDS)}")
    started = time.perf_counter()
    if preset == "fast" and view.num_forgotten == 1 and analytic.applies(view.net):
        return analytic.recover(view)
    update, point = forgotten_gradient(view)
    scale = torch.stack([change.norm() for change in update.values()]).norm()
    update = {name: change / scale for name, change in update.items()}
    objective, extra, labels = _objectives(view, update[head(view.net)[1]], chosen)
    kinds = [kind for kind in chosen.kinds if kind != "layerwise" or split_of(view.net)] or ["plain"]
    rounds = chosen.rounds if "layerwise" in kinds else 1
    most = chosen.restarts * chosen.iterations * rounds
    most += ("layerwise" in kinds) * most_steps(chosen.iterations, rounds)
    counter = count()
    watch = None if callback is None else lambda inputs: callback(next(counter), inputs)
    results: list[tuple[_Best, Tensor]] = []
    with steps(most, "recovery", progress) as tick:
        search = _Search(view, point, update, objective, extra, chosen, rng, tick, watch)
        for i in range(chosen.restarts):
            if results and min(r[0].cost.item() for r in results) < chosen.enough:
                break
            kind = kinds[i % len(kinds)]
            results += search.layer_by_layer() if kind == "layerwise" else search.from_noise(kind)
    best = min((result[0] for result in results), key=lambda b: b.cost.item())
    if not torch.isfinite(best.cost):
        raise FloatingPointError("recovery: the cost was not finite in any restart; try another rng or a lower lr")
    loss = torch.stack([history for _, history in results])
    return Reconstruction(best.inputs, labels, loss, time.perf_counter() - started)
