"""Whether a search came close enough that its picture is the one behind the update (ours).

The cost alone does not say it. Where a net averages over all positions before its last layer, any
arrangement of the same parts explains the update nearly as well as the right one, and a cost that
another net reaches with a sharp picture stands for a picture put together wrongly. So the measure
is the net's own: what the found samples cost, beside what they cost mirrored or moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from uninv_lib.attacks.search.costs import dummy_gradient, relative_cost
from uninv_lib.attacks.search.stacking import rows
from uninv_lib.attacks.search.target import Goal, Targets
from uninv_lib.models import logits

TRUSTED = 0.35
"""Of the cost of the best rearrangement; a picture that costs more is in doubt. Ours, measured on
photos: 0.05 to 0.35 where plain nets gave the right one, 0.37 and more where it was wrong. Rounding
and what is drawn while unlearning leave right ones in doubt, too (benchmarks/own_nets.py).
"""


def doubts(targets: Targets, inputs: Tensor) -> list[tuple[str, ...]]:
    """A remark for each target whose found samples, (targets, n, *input_shape), are in doubt; none
    where signs alone are matched, which a right picture need not meet much better.
    """
    if targets.goals.signs is not None:
        return [() for _ in range(len(targets))]
    return [_doubt(targets, rows(targets.goals, i), x) for i, x in enumerate(inputs.unbind())]


def labels_of(targets: Targets, inputs: Tensor) -> Tensor:
    """(targets, n): the labels, and in place of an unknown one of a single sample that with which
    the found picture, (targets, 1, *input_shape), explains the update best.
    """
    labels = targets.labels.clone()
    for i in ((labels < 0).all(1) & (labels.shape[1] == 1)).nonzero()[:, 0].tolist():
        goal = rows(targets.goals, i)
        with torch.no_grad():
            classes = logits(targets.net, targets.point, inputs[i]).shape[1]
        tried = torch.arange(classes, device=labels.device)
        costs = [
            goal.measure(
                dummy_gradient(
                    targets.net,
                    targets.point,
                    partial(cross_entropy, target=label[None]),
                    inputs[i],
                )
            )
            for label in tried
        ]
        labels[i] = torch.stack(costs).argmin()
    return labels


def _doubt(targets: Targets, goal: Goal, x: Tensor) -> tuple[str, ...]:
    own = _misfit(targets, goal, x)
    other = min(_misfit(targets, goal, moved) for moved in rearranged(x))
    root = 1 if goal.known.measure is relative_cost else 2  # an angle's cost grows with its square
    if own <= TRUSTED**root * other:
        return ()
    return (
        f"search: its picture is in doubt: it costs {own:.2g}, and mirrored or moved {other:.2g}, "
        f"of which a right one costs {TRUSTED**root:.0%} at most, as a rule",
    )


def rearranged(x: Tensor) -> Iterator[Tensor]:
    """The same values in other places, (n, *input_shape): mirrored and moved by half a side along
    each axis but the channels, and moved along all.
    """
    axes = range(1, x.ndim) if x.ndim < 3 else range(2, x.ndim)
    halves = [x.shape[axis] // 2 for axis in axes]
    for axis, half in zip(axes, halves, strict=True):
        yield x.flip(axis)
        yield x.roll(half, axis)
    yield x.roll(halves, list(axes))


def _misfit(targets: Targets, goal: Goal, x: Tensor) -> float:
    """How far the samples' gradient is from the update at best, with what the search found beside
    them taken from their own logits.
    """
    net, point, known = targets.net, targets.point, goal.known
    with torch.no_grad():
        given = logits(net, point, x)

    def with_these(free: list[Tensor]) -> float:
        return goal.measure(
            dummy_gradient(net, point, lambda z: known.objective(z, free), x)
        ).item()

    return min([with_these(free) for free in known.free_of(given)], default=0.0)
