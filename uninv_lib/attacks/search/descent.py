"""Gradient descent on many targets at once: one cost a target, stacked, in chunks that fit a memory
budget (ours).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import torch
from torch import Tensor

from uninv_lib.attacks.search.stacking import Data, rows
from uninv_lib.attacks.session import Session, Watch

Share = float | Tensor
"""Of the iterations that are done; a tensor, (), where the step is compiled."""
Cost = Callable[[list[Tensor], Data, Any], tuple[Tensor, Tensor]]
"""(variables, data, share), all of one target -> the cost that counts, and the one that steers.
Whatever it calls must be known to torch.func.vmap."""
Step = Callable[[Cost, list[Tensor], Data, Share], tuple[Tensor, list[Tensor]]]
"""(cost, variables, data, share) of stacked targets -> the costs that count, and the slopes of
those that steer."""
CHECK = 25
"""Iterations between two moments at which the loop waits for the device, to see whether anything
still moves."""


@dataclass(frozen=True)
class Descent:
    """best: (targets, ...), the first variable where its cost was lowest; cost: (targets,), that
    cost; last: the variables at the end; history: (targets, iterations), NaN after a target
    stopped.
    """

    best: Tensor
    cost: Tensor
    last: list[Tensor]
    history: Tensor


def annealed(rate: float, iterations: int) -> list[float]:
    """Half a cosine, from `rate` down to 0."""
    return [rate * 0.5 * (1 + cos(pi * i / iterations)) for i in range(iterations)]


def halved(rate: float, iterations: int) -> list[float]:
    """Halved at 3/8, 5/8 and 7/8, as in the official code."""
    return [
        rate * 0.5 ** sum(i / iterations >= eighth / 8 for eighth in (3, 5, 7))
        for i in range(iterations)
    ]


def stacked(
    cost_of: Cost, variables: list[Tensor], data: Data, share: Share
) -> tuple[Tensor, list[Tensor]]:
    """The costs that count, (targets,), and the steering costs' gradients in the variables."""
    own = [v.detach().requires_grad_() for v in variables]
    if len(own[0]) == 1:  # half the time of a small net goes into the transforms
        alone = cost_of([v[0] for v in own], rows(data, 0), share)
        counted, steered = (cost[None] for cost in alone)
    else:
        counted, steered = torch.func.vmap(lambda v, d: cost_of(v, d, share))(own, data)
    return counted.detach(), list(torch.autograd.grad(steered.sum(), own))


def traceable(
    cost_of: Cost, variables: list[Tensor], data: Data, share: Share
) -> tuple[Tensor, list[Tensor]]:
    """The same for `torch.compile`, which knows no autograd.grad; slower where it is not
    compiled.
    """

    def steered(own: list[Tensor]) -> tuple[Tensor, Tensor]:
        counted, steers = torch.func.vmap(lambda v, d: cost_of(v, d, share))(own, data)
        return steers.sum(), counted

    slopes, counted = torch.func.grad(steered, has_aux=True)(variables)
    return counted, slopes


def in_chunks(
    step: Step, cost_of: Cost, variables: list[Tensor], data: Data, share: Share, *, chunk: int
) -> tuple[Tensor, list[Tensor]]:
    """`step` of all targets, `chunk` of them at a time.

    Each target's cost is its own: how the targets are cut changes nothing but rounding.
    """
    parts = [slice(start, start + chunk) for start in range(0, len(variables[0]), chunk)]
    found = [step(cost_of, [v[part] for v in variables], rows(data, part), share) for part in parts]
    costs, slopes = zip(*found, strict=True)
    return torch.cat(costs), [torch.cat(pieces) for pieces in zip(*slopes, strict=True)]


def descend(
    cost_of: Cost,
    variables: list[Tensor],
    data: Data,
    *,
    session: Session,
    rates: list[float],
    signed: bool = False,
    top: float | None = None,
    patience: int | None = None,
    compiled: bool = False,
    watch: Watch | None = None,
) -> Descent:
    """Adam on the stacked variables, an iteration a rate; the first variable stays in [0, top].

    signed: AdamW on the signs of the gradient, as published. patience: iterations without a better
    cost (by one part in a thousand) after which a target stands still; so does one whose cost is
    not finite. compiled: a minute or more for the first step of a cost, a net and a number of
    targets, the others in about half their time (`attack.py step`). watch sees the first variable.
    """
    step: Step = torch.compile(traceable, dynamic=False) if compiled else stacked
    free = [v.clone() for v in variables]
    optimiser: torch.optim.Optimizer = (torch.optim.AdamW if signed else torch.optim.Adam)(
        free, rates[0]
    )
    best, cost = free[0].clone(), torch.full_like(free[0].flatten(1)[:, 0], torch.inf)
    landmark, since, moving = (
        cost.clone(),
        torch.zeros_like(cost),
        torch.ones_like(cost, dtype=torch.bool),
    )
    history = cost.new_full((len(cost), len(rates)), torch.nan)
    for i, rate in enumerate(rates):
        share = cost.new_tensor(i / len(rates)) if compiled else i / len(rates)
        counted, slopes = in_chunks(step, cost_of, free, data, share, chunk=session.chunk)
        moving &= torch.isfinite(counted)
        history[:, i] = counted.where(moving, torch.nan)
        better = moving & (counted < cost)
        cost, best = counted.where(better, cost), _where(better, free[0], best)
        if patience is not None:
            since = (since + 1).where(cost >= 0.999 * landmark, 0)
            landmark = cost.where(since == 0, landmark)
            moving &= since < patience
        session.tick()
        if i % CHECK == 0 and not moving.any():
            break
        for variable, slope in zip(free, slopes, strict=True):
            variable.grad = slope.sign() if signed else slope
        optimiser.param_groups[0]["lr"] = rate
        before = [v.clone() for v in free]
        optimiser.step()
        free[0].clamp_(0, top)
        for variable, old in zip(free, before, strict=True):
            variable.copy_(_where(moving, variable, old))
        if watch is not None:
            watch(free[0].clone())
    return Descent(best, cost, free, history)


def _where(chosen: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """`first` of the chosen targets, (targets,), `second` of the others."""
    return torch.where(chosen.reshape(-1, *[1] * (first.ndim - 1)), first, second)
