"""What the dummies' gradients must imitate: the updates of one or more requests, with what the last
layer tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import Anatomy
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.search.costs import Measure, sign_cost
from uninv_lib.attacks.search.error import Shown, shown
from uninv_lib.attacks.search.inside import told_inside
from uninv_lib.attacks.search.known import Known
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.attacks.search.stacking import joined, rows, same_kind, stackable
from uninv_lib.attacks.search.told import only_signs, published, told
from uninv_lib.attacks.search.update import forgotten_gradient
from uninv_lib.types import State


@stackable
@dataclass(frozen=True)
class Goal:
    """update: by parameter name, of length 1 over all; known: of the samples behind it; weights:
    how much each entry of the update counts, None for all alike; signs: of the gradient, where
    nothing else is known of it.
    """

    update: dict[str, Tensor]
    known: Known
    weights: dict[str, Tensor] | None = None
    signs: dict[str, Tensor] | None = None

    def updates(self) -> list[Tensor]:
        """Of all parameters, in the order of the net."""
        return list(self.update.values())

    def measure(self, slopes: list[Tensor]) -> Tensor:
        """How far dummy gradients, of all parameters, are from the update."""
        return self.away(self.known.measure, slopes, self.update)

    def away(self, measure: Measure, slopes: list[Tensor], names: Iterable[str]) -> Tensor:
        """How far dummy gradients in these parameters are from their update, by this measure where
        more than signs are known.
        """
        names = list(names)
        if self.signs is not None:
            return sign_cost(slopes, [self.signs[name] for name in names])
        target = [self.update[name] for name in names]
        if self.weights is not None:
            weights = [self.weights[name] for name in names]
            slopes = [w * s for w, s in zip(weights, slopes, strict=True)]
            target = [w * t for w, t in zip(weights, target, strict=True)]
        return measure(slopes, target)


@dataclass(frozen=True)
class Targets:
    """Updates of requests to the same net, made at the same point.

    anatomy: of the net as `in_sequence` opens it, whose names the others use; goals: a stack, each
    tensor with the targets in front; labels: (targets, n) int64; shape: of one request's samples,
    (n, *input_shape); remarks: on what was inferred.
    """

    anatomy: Anatomy
    point: State
    shape: tuple[int, ...]
    goals: Goal
    labels: Tensor
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def net(self) -> nn.Module:
        """The attacked model."""
        return self.anatomy.net

    @property
    def like(self) -> Tensor:
        """A tensor of the type and on the device of the search."""
        return self.goals.updates()[0]

    def take(self, index: Tensor) -> Targets:
        """The targets at these positions."""
        return replace(self, goals=rows(self.goals, index), labels=self.labels[index])


def target_of(request: Inspection, *, error_known: bool) -> Targets:
    """One request. error_known: the output errors are read off the update; without, as published,
    the labels are an assumption. Raises ValueError for what stands in the way of a search.
    """
    if request.obstacles:
        raise ValueError(request.obstacles[0])
    view = request.view
    update, point = forgotten_gradient(view)
    scale = torch.stack([change.norm() for change in update.values()]).norm()
    seen = shown(request.anatomy, point) if error_known else Shown(None, False)
    opened, names = in_sequence(request.anatomy, point)
    update = {name: update[old] / scale for name, old in names.items() if old in update}
    point = {name: point[old] for name, old in names.items()}
    if error_known:
        error = next((name for name, old in names.items() if old == seen.error), None)
        read = told if request.errors_told else only_signs
        found = read(view, opened, point, update, Shown(error, seen.features))
    else:
        found = published(view, update)
    known, labels, remark = found
    inside = told_inside(request, names, scale) if error_known else None
    if inside is not None:
        known, labels = inside
    parts = (
        None if part is None else {name: part[names[name]] for name in update}
        for part in (request.weights, request.signs)
    )
    one, shape = rows(Goal(update, known, *parts), None), (view.num_forgotten, *view.input_shape)
    return Targets(opened, point, shape, one, labels[None], (remark,) if remark else ())


def alike(targets: list[Targets]) -> list[list[int]]:
    """The positions of those that can stand in one stack: same architecture, point, shape and kind
    of knowledge.
    """
    groups: list[list[int]] = []
    for i, target in enumerate(targets):
        for group in groups:
            if _fit(targets[group[0]], target):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _fit(first: Targets, second: Targets) -> bool:
    if (
        str(first.net) != str(second.net)
        or first.shape != second.shape
        or not same_kind(first.goals, second.goals)
    ):
        return False
    points = first.point, second.point
    return points[0].keys() == points[1].keys() and all(
        torch.equal(t, points[1][name]) for name, t in points[0].items()
    )


def stack(targets: list[Targets]) -> Targets:
    """One stack of targets that are `alike`."""
    return replace(
        targets[0],
        goals=joined([t.goals for t in targets]),
        labels=torch.cat([t.labels for t in targets]),
    )
