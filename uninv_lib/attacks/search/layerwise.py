"""Layer by layer: first what entered the last convolutions, then a picture that gives it (ours).

The update of the layers behind the last pooling fixes, almost alone, what entered them. That
problem is small and shallow, so its optimisation finds the solution where the one over the whole
net is lost in local minima; and to find a picture from its inner representation is easier than from
its gradient. The recovery then starts from that picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import features_of
from uninv_lib.attacks.inspection.batches import statistics_cost
from uninv_lib.attacks.search.costs import (
    Measure,
    dummy_gradient,
    relative_cost,
    squared_cost,
)
from uninv_lib.attacks.search.descent import Share, annealed, descend
from uninv_lib.attacks.search.softpool import soft_pools
from uninv_lib.attacks.search.target import Goal, Targets
from uninv_lib.attacks.session import Session
from uninv_lib.models import logits
from uninv_lib.types import State

HEATS, COLD, SOFTENED = (4.0, 1.0, 0.04), 0.04, 0.9
"""Temperatures from which a softened pooling cools, a start each, and down to which, in units of
the features' mean; the share of the iterations that it lasts. Ours, measured on CIFAR-10 and
photos."""


@dataclass(frozen=True)
class Phases:
    """Iterations: of what entered the last convolution, of what entered those behind the split, of
    its polish, of the picture's starts, and of the picture put together.
    """

    deep: int
    inner: int
    polish: int
    starts: int
    picture: int

    def most(self, rounds: int, tries: int) -> int:
        """Steps of `find_inner` and `picture_of` together over all rounds, at most."""
        pictures = (rounds + tries - 1) * self.picture
        return self.deep + self.inner + rounds * self.polish + tries * self.starts + pictures


def split_of(net: nn.Module) -> int | None:
    """Where to cut `net`: behind its last pooling that still has a convolution behind it, or in
    front of its last layer or block that strides; None where there is neither.
    """
    layers, last = list(net) if isinstance(net, nn.Sequential) else [], last_of(net)
    pooled = [
        i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d) and i < last
    ]
    strided = [
        i for i, layer in enumerate(layers) if any(c.stride[0] > 1 for c in _convolutions(layer))
    ]
    cuts = [i for i in pooled + strided if i > 1]
    return max(cuts) if cuts else None


def last_of(net: nn.Module) -> int:
    """Where the last layer or block with a convolution stands, -1 where there is none; a layer that
    is called twice stands twice.
    """
    layers = [layer for layer in net._modules.values() if layer is not None]
    return max([-1, *(i for i, layer in enumerate(layers) if _convolutions(layer))])


def _convolutions(layer: nn.Module) -> list[nn.Conv2d]:
    return [part for part in layer.modules() if isinstance(part, nn.Conv2d)]


def halves(net: nn.Module, cut: int | None = None) -> tuple[nn.Sequential, nn.Sequential]:
    """The layers in front of the cut, which is that of `split_of` where none is given, and those
    behind it.
    """
    cut = split_of(net) if cut is None else cut
    if cut is None or not isinstance(net, nn.Sequential):
        raise ValueError(
            "net: no convolution behind a pooling; allowed: a net that `split_of` can cut"
        )
    front, back = net[:cut], net[cut:]
    return front, back  # type: ignore[return-value]


def call(part: nn.Module, point: State, inputs: Tensor) -> Tensor:
    """What a part of a net gives, with its share of the whole net's state."""
    return logits(part, {name: point[name] for name in part.state_dict()}, inputs)


def distance(encode: Callable[[Tensor], Tensor], inputs: Tensor, values: Tensor) -> Tensor:
    """How far the representation of n inputs is from these values, beside their length, (n,)."""
    away: Tensor = (encode(inputs) - values).flatten(1).norm(dim=1) / values.flatten(1).norm(dim=1)
    return away


def find_inner(
    targets: Targets,
    *,
    picture: Tensor | None,
    free: list[Tensor],
    phases: Phases,
    session: Session,
) -> tuple[Tensor, list[Tensor]]:
    """The representation, (targets, n, ...), whose gradient in the layers behind the split is their
    update, and the objective's free variables there.

    picture: the inputs to start from, (targets, n, ...), found in an earlier round, or None for a
    start from noise. It takes three steps then: what entered the last convolution, its pooling
    softened at first; with that as a guide, what entered the others; and without it.
    """
    front, back = halves(targets.net)
    if picture is None:
        variables = _guided(targets, _deepest(targets, free, phases, session), phases, session)
    else:
        with torch.no_grad():
            values = call(front, targets.point, picture.flatten(0, 1)).unflatten(
                0, picture.shape[:2]
            )
        variables = [values, *free]

    def cost_of(variables: list[Tensor], goal: Goal, share: Share) -> tuple[Tensor, Tensor]:
        cost = _inner_cost(back, targets, variables, goal, relative_cost)
        return cost, cost

    rates = annealed(0.03, phases.polish)
    found = descend(cost_of, variables, targets.goals, rates=rates, session=session)
    return found.last[0], found.last[1:]


def _guided(
    targets: Targets, deepest: list[Tensor], phases: Phases, session: Session
) -> list[Tensor]:
    """What entered the layers behind the split, and the free variables: from noise, at first with a
    pull towards what is to enter the last convolution, the first of `deepest`.
    """
    guide, *free = deepest
    front, back = halves(targets.net)
    between = back[: last_of(back)]

    def cost_of(
        variables: list[Tensor], data: tuple[Goal, Tensor], share: Share
    ) -> tuple[Tensor, Tensor]:
        goal, guide = data
        cost = _inner_cost(back, targets, variables, goal, squared_cost)
        away = call(between, targets.point, variables[0]) - guide
        cost = cost + 0.01**share * away.square().sum() / guide.square().sum()
        return cost, cost

    start = [_noise(targets, front, session), *free]
    rates = annealed(0.1, phases.inner)
    return descend(cost_of, start, (targets.goals, guide), rates=rates, session=session).last


def _deepest(
    targets: Targets, free: list[Tensor], phases: Phases, session: Session
) -> list[Tensor]:
    """What entered the last convolution, and the free variables: of a start from each heat the one
    that fits best.
    """
    front, last = halves(targets.net, last_of(targets.net))
    warm = HEATS if any(isinstance(layer, nn.MaxPool2d) for layer in last) else HEATS[:1]
    index = torch.arange(len(targets), device=targets.labels.device).repeat_interleave(len(warm))
    start = [v[index] for v in (_noise(targets, front, session), *free)]
    goals = targets.take(index).goals
    heats = start[0].new_tensor(warm).repeat(len(targets))
    if goals.known.features is not None:
        heats = heats * goals.known.features.abs().flatten(1).mean(1)

    def cost_of(
        variables: list[Tensor], data: tuple[Goal, Tensor], share: float
    ) -> tuple[Tensor, Tensor]:
        goal, heat = data
        part = last
        if share < SOFTENED:
            part = soft_pools(last, heat * (COLD / HEATS[0]) ** (share / SOFTENED))
        cost = _inner_cost(part, targets, variables, goal, squared_cost)
        return cost, cost

    rates = annealed(0.1, phases.deep)
    found = descend(cost_of, start, (goals, heats), rates=rates, session=session)
    cost = found.history[:, -1].nan_to_num(torch.inf).unflatten(0, (len(targets), len(warm)))
    best = cost.argmin(1) + torch.arange(len(targets), device=cost.device) * len(warm)
    return [v[best] for v in found.last]


def _noise(targets: Targets, front: nn.Module, session: Session) -> Tensor:
    """(targets, n, ...) in place of what `front` gives."""
    with torch.no_grad():
        given = call(front, targets.point, targets.like.new_zeros(targets.shape))
    noise = [0.3 * torch.randn(given.shape, generator=rng).abs() for rng in session.rngs]
    return torch.stack(noise).to(targets.like)


def _inner_cost(
    back: nn.Module, targets: Targets, variables: list[Tensor], goal: Goal, measure: Measure
) -> Tensor:
    """Of one target: how far the dummy gradient in `back` of what enters it, the first variable, is
    from the update, and what reaches the last layer and those that normalise from what is known of
    it.

    Far from the solution `squared_cost` leads there, near it `relative_cost` does.
    """
    values, *free = variables
    state = {name: targets.point[name] for name in back.state_dict()}
    names = [name for name, _ in back.named_parameters()]
    slopes = dummy_gradient(back, state, lambda z: goal.known.objective(z, free), values)
    cost = goal.away(measure, slopes, names) + statistics_cost(back, state, values)
    if goal.known.features is None:
        return cost
    reached = features_of(back, state, goal.known.layer or targets.anatomy.linear, values)
    return cost + measure([reached], [goal.known.features])
