"""What the dummies' gradients must imitate: the updates of one or more requests, with what the last
layer tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from uninv_lib.anatomy import Anatomy, both
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.search.costs import Measure, sign_cost
from uninv_lib.attacks.search.known import ErrorsKnown, Known, LabelsKnown, SumKnown
from uninv_lib.attacks.search.last_layer import TOLD_APART, separate
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.attacks.search.stacking import joined, rows, same_kind, stackable
from uninv_lib.attacks.search.update import error_without_bias, forgotten_gradient, labels_of_bias
from uninv_lib.types import State, WhiteBoxView

import os
LAM=float(os.environ.get('LAM','1'))
@stackable
@dataclass(frozen=True)
class Goal:
    """update: by parameter name, of length 1 over all; known: of the samples behind it; weights:
    how much each entry of the update counts, None for all alike.
    """

    update: dict[str, Tensor]
    known: Known
    weights: dict[str, Tensor] | None = None
    signs: dict[str, Tensor] | None = None

    def updates(self) -> list[Tensor]:
        """Of all parameters, in the order of the net."""
        return list(self.update.values())

    def away(self, measure: Measure, slopes: list[Tensor], names: Iterable[str]) -> Tensor:
        """How far by this measure a dummy gradient in these parameters is from their update."""
        names = list(names)
        target = [self.update[name] for name in names]
        whole = slopes
        if self.weights is not None:
            weights = [self.weights[name] for name in names]
            slopes, target = (
                [w * t for w, t in zip(weights, part, strict=True)] for part in (slopes, target)
            )
        cost = measure(slopes, target)
        if self.signs is None:
            return cost
        signs = [self.signs[name] for name in names]
        by_sign = sign_cost(whole, signs)
        return LAM * cost + by_sign if self.weights is not None and LAM else by_sign


@dataclass(frozen=True)
class Targets:
    """Updates of requests to the same net, made at the same point.

    anatomy: of the net as `in_sequence` opens it, whose names the others use; goals: a stack, each
    tensor with the targets in front; labels: (targets, n) int64; shape: of one request's samples,
    (n, *input_shape).
    """

    anatomy: Anatomy
    point: State
    shape: tuple[int, ...]
    goals: Goal
    labels: Tensor

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
    the labels are an assumption.
    """
    view = request.view
    update, point = forgotten_gradient(view)
    scale = torch.stack([change.norm() for change in update.values()]).norm()
    opened, names = in_sequence(request.anatomy, point)
    update_names = list(update)
    update = {name: update[old] / scale for name, old in names.items() if old in update}
    point = {name: point[old] for name, old in names.items()}
    known, labels = _read(request, opened, point, update) if error_known else _published(view, update)
    kept = request.weights
    weights = None if kept is None else {n: kept[old] for n, old in names.items() if old in kept}
    signs = None if request.signs is None else {n: request.signs[old] for n, old in names.items() if old in update_names}
    one = rows(Goal(update, known, weights, signs), None)
    return Targets(opened, point, (view.num_forgotten, *view.input_shape), one, labels[None])


def _published(view: WhiteBoxView, update: dict[str, Tensor]) -> tuple[Known, Tensor]:
    if view.labels is None:
        raise ValueError("view.labels: None; attack 'paper' assumes the forgotten samples' labels")
    labels = view.labels.to(next(iter(update.values())).device)
    return LabelsKnown(labels=labels), labels


def _read(
    request: Inspection, anatomy: Anatomy, point: State, update: dict[str, Tensor]
) -> tuple[Known, Tensor]:
    """What the last layer's update tells of the errors, and the labels."""
    view, layer = request.view, anatomy.classifier
    weight, bias = both(layer)
    slopes, linear = update[weight], isinstance(anatomy.net.get_submodule(layer), nn.Linear)
    if view.num_forgotten == 1 and linear and bias not in update:
        errors, features = error_without_bias(point[weight], slopes)
        return ErrorsKnown(errors=errors[None], features=features[None]), errors.argmin()[None]
    if bias not in update:
        raise ValueError(
            f"net: {layer!r} without a bias; allowed then: a linear one and one forgotten sample"
        )
    errors = update[bias]
    labels = labels_of_bias(errors, view.num_forgotten) if view.labels is None else view.labels
    if view.num_forgotten == 1 and request.errors_told:
        # Of a linear layer the update is e hᵀ, and e is known; of a convolution it mixes what
        # stands at each position.
        reached = (slopes.T @ errors)[None] / errors.square().sum() if linear else None
        return ErrorsKnown(errors=errors[None], features=reached), labels.to(errors.device)
    if linear and request.errors_told and view.num_forgotten < len(errors):
        found = separate(view, anatomy, point, update)
        if found.cost < TOLD_APART:
            each = found.errors.to(errors) * (errors.norm() / found.errors.sum(0).norm()).to(errors)
            known = ErrorsKnown(errors=each, features=found.features.to(errors))
            return known, found.labels.to(errors.device)
    onehot = one_hot(labels.to(errors.device), len(errors)).to(errors)
    return SumKnown(total=errors, onehot=onehot), labels.to(errors.device)


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
