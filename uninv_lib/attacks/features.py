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
from tqdm.auto import tqdm

from uninv_lib.attacks import analytic
from uninv_lib.attacks.costs import angle_cost, cosine_cost, dummy_gradient, features_of, relative_cost, total_variation
from uninv_lib.attacks.layerwise import Inner, annealed, find_inner, most_steps, picture_of, split_of
from uninv_lib.attacks.update import forgotten_gradient, head, labels_of_bias
from uninv_lib.types import Reconstruction, WhiteBoxView


@dataclass(frozen=True)
class Preset:
    """Settings of the optimisation. tv: weight of the total variation; patience:
    iterations without a better cost (by one part in a thousand) after which a restart ends, None for never; enough:
    cost below which no further restart or round is made; rounds: of `layerwise`, each from the picture before; kinds:
    restarts take these in turn."""

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
    bar: Any,
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
        bar.update()
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


def recover_features(
    view: WhiteBoxView,
    *,
    rng: torch.Generator,
    preset: str = "fast",
    progress: bool = False,
    callback: Callable[[int, Tensor], None] | None = None,
    **settings: Any,
) -> Reconstruction:
    """Rebuild the forgotten samples from the two models.

    preset: "paper", the published attack, which assumes `view.labels`; "fast" (ours, the default), which reads the
    output error softmax − onehot off the last bias's update and backpropagates it through the dummy input, so that
    no label is needed; for one sample and a fully connected first layer "fast" is the closed form of `analytic`.
    settings: any field of `Preset` (iterations, restarts, lr, tv, patience, ...).
    callback(iteration, inputs) sees the pictures as they emerge.
    Of several restarts the one with the lowest cost is returned.

    Raises ValueError for an unknown preset or setting, models that do not match or do not differ, missing labels;
    FloatingPointError where every restart met NaN.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset: {preset!r}; allowed: {', '.join(PRESETS)}")
    unknown = set(settings) - set(Preset.__dataclass_fields__)
    if unknown:
        raise ValueError(f"settings: {sorted(unknown)}; allowed: {', '.join(Preset.__dataclass_fields__)}")
    chosen = replace(PRESETS[preset], **settings)
    if chosen.iterations < 1 or chosen.restarts < 1:
        raise ValueError(f"iterations: {chosen.iterations}, restarts: {chosen.restarts}; allowed: 1 or more")
    started = time.perf_counter()
    if preset == "fast" and view.num_forgotten == 1 and analytic.applies(view.net):
        return analytic.recover(view)
    update, point = forgotten_gradient(view)
    scale = torch.stack([change.norm() for change in update.values()]).norm()
    target = [change / scale for change in update.values()]
    objective, extra, labels = _objectives(view, update[head(view.net)[1]] / scale, chosen)
    distance = relative_cost if chosen.error_known else cosine_cost

    weight, bias = head(view.net)
    features = (update[weight].T @ update[bias]) / update[bias].square().sum()  # one sample's δ hᵀ and δ give its h

    def cost_of(
        x: Tensor, free: list[Tensor], share: float, *, kind: str, inner: Inner | None = None
    ) -> tuple[Tensor, Tensor]:
        """Every kind of start is compared by the same cost; each but "plain" steers by another one."""
        slopes = dummy_gradient(view.net, point, lambda z: objective(z, free), x)
        rough = total_variation(x).mean()
        cost = distance(slopes, target) + chosen.tv * rough
        if inner is not None:
            return cost, cost + 0.01**share * inner.distance(x).mean()
        if kind == "head" and view.num_forgotten == 1:
            entered = features_of(view.net, point, weight.removesuffix(".weight"), x)
            return cost, cost + (entered - features).abs().sum() / features.abs().sum()
        if kind == "angle" and share < 0.5:
            return cost, angle_cost(slopes, target) + chosen.tv * rough
        return cost, cost

    kinds = [kind for kind in chosen.kinds if kind != "layerwise" or split_of(view.net)] or ["plain"]
    steps = chosen.restarts * chosen.iterations * (chosen.rounds if "layerwise" in kinds else 1)
    steps += ("layerwise" in kinds) * most_steps(chosen.iterations, chosen.rounds)
    counter = count()
    watch = None if callback is None else lambda inputs: callback(next(counter), inputs)
    results: list[tuple[_Best, Tensor]] = []
    shape = (view.num_forgotten, *view.input_shape)
    with tqdm(total=steps, desc="recovery", disable=not progress) as bar:
        for i in range(chosen.restarts):
            if results and min(r[0].cost.item() for r in results) < chosen.enough:
                break
            kind = kinds[i % len(kinds)]
            start = (0.5 + 0.25 * torch.randn(shape, generator=rng)).clamp(0, 1).to(target[0])
            if kind != "layerwise":
                results.append(_restart(partial(cost_of, kind=kind), start, extra, chosen, bar, watch))
                continue
            picture, free, gentle = None, extra, replace(chosen, lr=0.3 * chosen.lr)
            for _ in range(chosen.rounds):
                inner = find_inner(
                    view.net,  # type: ignore[arg-type]
                    point,
                    dict(zip(update, target, strict=True)),
                    objective,
                    free,
                    shape,
                    features=features if view.num_forgotten == 1 else None,
                    picture=picture,
                    rng=rng,
                    iterations=chosen.iterations,
                    bar=bar,
                )
                start = picture_of(
                    inner,
                    shape,
                    picture=picture,
                    tv=chosen.tv,
                    rng=rng,
                    iterations=chosen.iterations,
                    bar=bar,
                    watch=watch,
                )
                cost = partial(cost_of, kind=kind, inner=inner)
                results.append(_restart(cost, start, inner.free, gentle, bar, watch))
                picture, free = results[-1][0].inputs, inner.free
                if results[-1][0].cost < chosen.enough:
                    break
    best = min((result[0] for result in results), key=lambda b: b.cost.item())
    if not torch.isfinite(best.cost):
        raise FloatingPointError("recovery: the cost was not finite in any restart; try another rng or a lower lr")
    loss = torch.stack([history for _, history in results])
    return Reconstruction(best.inputs, labels, loss, time.perf_counter() - started)
