"""Layer by layer: first what entered the last convolutions, then a picture that gives it (ours).

The update of the layers behind the last pooling fixes, almost alone, what entered them. That problem is small and
shallow, so its optimisation finds the solution where the one over the whole net is lost in local minima; and to find
a picture from its inner representation is easier than from its gradient. The recovery then starts from that picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from uninv_lib.attacks.costs import dummy_gradient, relative_cost, total_variation
from uninv_lib.layers import features_of, head
from uninv_lib.models import logits
from uninv_lib.types import State

INNER, PICTURE, SOLVED, STARTS = 8, 2, 0.02, 8
"""Iterations for the inner representation and for the picture, in units of the preset's; the relative cost below
which no second inner start is made; starts of the picture. Ours, measured on photos."""

Objective = Callable[[Tensor, list[Tensor]], Tensor]
"""(logits, free variables) -> the number whose gradient in the parameters imitates the update."""


def _call(part: nn.Module, point: State, inputs: Tensor) -> Tensor:
    """What a part of a net gives, with its share of the whole net's state."""
    return logits(part, {name: point[name] for name in part.state_dict()}, inputs)


@dataclass(frozen=True)
class Inner:
    """encode: the layers in front of the split; values: (n, channels, height, width), what they gave; free: the
    objective's free variables at that solution."""

    encode: Callable[[Tensor], Tensor]
    values: Tensor
    free: list[Tensor]

    def error(self, inputs: Tensor) -> Tensor:
        """Representation of the inputs minus the values found; several guesses at all n stand one after another."""
        found: Tensor = self.encode(inputs) - self.values.repeat(len(inputs) // len(self.values), 1, 1, 1)
        return found

    def distance(self, inputs: Tensor) -> Tensor:
        """The length of the error beside that of the values, (guesses · n,)."""
        size = self.values.flatten(1).norm(dim=1).repeat(len(inputs) // len(self.values))
        away: Tensor = self.error(inputs).flatten(1).norm(dim=1) / size
        return away


def split_of(net: nn.Module) -> int | None:
    """Where to cut `net`: behind its last pooling that still has a convolution behind it; None where there is none."""
    layers = list(net) if isinstance(net, nn.Sequential) else []
    last = max((i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)), default=-1)
    cuts = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d) and i < last]
    return cuts[-1] if cuts else None


def most_steps(iterations: int, rounds: int) -> int:
    """Steps of `find_inner` and `picture_of` together over all rounds, at most."""
    return ((rounds + 1) * INNER + rounds * PICTURE) * iterations + iterations // 3


def annealed(rate: float, iteration: int, iterations: int) -> float:
    """Half a cosine, from `rate` down to 0."""
    return rate * 0.5 * (1 + cos(pi * iteration / iterations))


def descend(
    cost_of: Callable[[], Tensor],
    variables: list[Tensor],
    *,
    rate: float,
    iterations: int,
    tick: Callable[[], None],
    top: float | None = None,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Adam on `variables` in place, the first of which is kept in [0, top] and shown to `watch`; the last cost."""
    optimiser = torch.optim.Adam(variables, rate)
    for i in range(iterations):
        for group in optimiser.param_groups:
            group["lr"] = annealed(rate, i, iterations)
        cost = cost_of()
        for variable, slope in zip(variables, torch.autograd.grad(cost.sum(), variables), strict=True):
            variable.grad = slope
        optimiser.step()
        with torch.no_grad():
            variables[0].clamp_(0, top)
        tick()
        if watch is not None:
            watch(variables[0].detach())
    return cost.detach()


def find_inner(
    net: nn.Module,
    point: State,
    update: dict[str, Tensor],
    objective: Objective,
    free: list[Tensor],
    shape: tuple[int, ...],
    *,
    features: Tensor | None,
    picture: Tensor | None,
    rng: torch.Generator,
    iterations: int,
    tick: Callable[[], None],
) -> Inner:
    """The representation, (n, ...), whose gradient in the layers behind the split is their update.

    update: by parameter name, in the scale of `objective`; shape: of the inputs, with their number in front;
    features: what reached the last linear layer, (1, features), where it is known; picture: the inputs to start from,
    found in an earlier round, or None for two starts from noise.
    """
    cut = split_of(net)
    if cut is None or not isinstance(net, nn.Sequential):
        raise ValueError("net: no convolution behind a pooling; allowed: a net that `split_of` can cut")
    front, back = net[:cut], net[cut:]
    target = [update[name] for name, _ in back.named_parameters()]
    encode = partial(_call, front, point)
    with torch.no_grad():
        like = encode(torch.zeros(shape).to(target[0]) if picture is None else picture)
    best, found = torch.inf, Inner(encode, like, free)
    for _ in range(2 if picture is None else 1):
        values = like if picture is not None else (0.3 * torch.randn(like.shape, generator=rng).abs()).to(like)
        variables = [v.clone().requires_grad_() for v in (values, *free)]
        cost_of = partial(_inner_cost, back, point, target, objective, features, variables)
        rate = 0.1 if picture is None else 0.03
        cost = descend(cost_of, variables, rate=rate, iterations=INNER * iterations, tick=tick).item()
        if cost < best:
            best, found = cost, Inner(encode, variables[0].detach(), [v.detach() for v in variables[1:]])
        if best < SOLVED:
            break
    return found


def _inner_cost(
    back: nn.Module,
    point: State,
    target: list[Tensor],
    objective: Objective,
    features: Tensor | None,
    variables: list[Tensor],
) -> Tensor:
    values, *free = variables
    state = {name: point[name] for name in back.state_dict()}
    cost = relative_cost(dummy_gradient(back, state, lambda z: objective(z, free), values), target)
    if features is None:
        return cost
    reached = features_of(back, state, head(back)[0].removesuffix(".weight"), values)
    return cost + (reached - features).abs().sum() / features.abs().sum()


def picture_of(
    inner: Inner,
    shape: tuple[int, ...],
    *,
    picture: Tensor | None,
    tv: float,
    rng: torch.Generator,
    iterations: int,
    tick: Callable[[], None],
    watch: Callable[[Tensor], None] | None,
) -> Tensor:
    """Inputs of this shape whose representation is `inner`: from `picture`, where an earlier round found one, else from
    starts in random plain colours, put together."""

    def cost_of(inputs: Tensor) -> Tensor:
        return inner.distance(inputs) + tv * total_variation(inputs)

    if picture is None:
        noise = 0.1 * torch.randn(STARTS, *shape, generator=rng)
        starts = (torch.rand(STARTS, *shape[:2], 1, 1, generator=rng) + noise).clamp(0, 1).to(inner.values)
        tried = starts.flatten(0, 1).requires_grad_()
        descend(partial(cost_of, tried), [tried], rate=0.1, iterations=max(1, iterations // 3), tick=tick, top=1)
        picture = _best_parts(inner, tried.detach(), shape)
    chosen = picture.clone().requires_grad_()
    descend(
        partial(cost_of, chosen), [chosen], rate=0.05, iterations=PICTURE * iterations, tick=tick, top=1, watch=watch
    )
    return chosen.detach()


@torch.no_grad()
def _best_parts(inner: Inner, tried: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Each part of the picture from the start that explains the representation there best.

    A start ends right in one part of the picture and in a local minimum in another, and the representation is local.
    """
    error = avg_pool2d(inner.error(tried).square().sum(1, keepdim=True), 3, 1, 1, count_include_pad=False)
    error = interpolate(error, size=shape[-2:]).unflatten(0, (STARTS, shape[0]))
    best = error.argmin(0, keepdim=True).expand(1, *shape)
    chosen: Tensor = tried.unflatten(0, (STARTS, shape[0])).gather(0, best)[0]
    return chosen
