"""What the dummies' gradients must imitate: the updates of one or more requests, with what the last
layer tells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from uninv_lib.anatomy import Anatomy, both
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.search.costs import cosine_cost, relative_cost
from uninv_lib.attacks.search.error import Shown, shown
from uninv_lib.attacks.search.known import ErrorsKnown, Known, LabelsKnown, SumKnown
from uninv_lib.attacks.search.last_layer import TOLD_APART, separate
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.attacks.search.stacking import joined, rows, same_kind, stackable
from uninv_lib.attacks.search.update import error_without_bias, forgotten_gradient, labels_of_bias
from uninv_lib.types import State, WhiteBoxView

NOT_SHOWN = (
    "net: no parameter's update is the output error; the search is over the whole net, by the "
    "angle of the update alone"
)


@stackable
@dataclass(frozen=True)
class Goal:
    """update: by parameter name, of length 1 over all; known: of the samples behind it."""

    update: dict[str, Tensor]
    known: Known

    def updates(self) -> list[Tensor]:
        """Of all parameters, in the order of the net."""
        return list(self.update.values())

    def measure(self, slopes: list[Tensor], target: list[Tensor]) -> Tensor:
        """How far they are apart: by their differences where the objective has the length of the
        update, else by their angle.
        """
        return (relative_cost if self.known.scaled else cosine_cost)(slopes, target)


@dataclass(frozen=True)
class Targets:
    """Updates of requests to the same net, made at the same point.

    anatomy: of the net as `in_sequence` opens it, whose names the others use; goals: a stack, each
    tensor with the targets in front; labels: (targets, n) int64; shape: of one request's samples,
    (n, *input_shape); remarks: of how they were read.
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
    the labels are an assumption.
    """
    view = request.view
    update, point = forgotten_gradient(view)
    scale = torch.stack([change.norm() for change in update.values()]).norm()
    seen = shown(request.anatomy, point) if error_known else Shown(None, False)
    opened, names = in_sequence(request.anatomy, point)
    update = {name: update[old] / scale for name, old in names.items() if old in update}
    point = {name: point[old] for name, old in names.items()}
    error = next((name for name, old in names.items() if old == seen.error), None)
    remarks: tuple[str, ...] = ()
    if not error_known:
        known, labels = _published(view, update)
    elif error is None and not (seen.features and view.num_forgotten == 1):
        (known, labels), remarks = _own_errors(view, opened, update), (NOT_SHOWN,)
    else:
        known, labels = _read(view, opened, point, update, Shown(error, seen.features))
    shape, one = (view.num_forgotten, *view.input_shape), rows(Goal(update, known), None)
    return Targets(opened, point, shape, one, labels[None], remarks)


def _published(view: WhiteBoxView, update: dict[str, Tensor]) -> tuple[Known, Tensor]:
    if view.labels is None:
        raise ValueError("view.labels: None; attack 'paper' assumes the forgotten samples' labels")
    labels = view.labels.to(next(iter(update.values())).device)
    return LabelsKnown(labels=labels), labels


def _own_errors(
    view: WhiteBoxView, anatomy: Anatomy, update: dict[str, Tensor]
) -> tuple[Known, Tensor]:
    """Labels alone, guessed by the last layer where they are not known: each pulls its own class
    down there.
    """
    labels = view.labels
    if labels is None and anatomy.last is not None:
        weight, bias = both(anatomy.last)
        pulled = update.get(bias, update.get(weight))
        if pulled is not None:
            labels = labels_of_bias(
                pulled.flatten(1).sum(1) if pulled.ndim > 1 else pulled, view.num_forgotten
            )
    if labels is None:
        raise ValueError(
            "net: no parameter of it shows the output error, nor has it a last layer that shows "
            "the labels; allowed: a net with a bias on its logits, or view.labels"
        )
    labels = labels.to(next(iter(update.values())).device)
    return LabelsKnown(labels=labels), labels


def _read(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor], seen: Shown
) -> tuple[Known, Tensor]:
    """What the last layer's update tells of the errors, and the labels."""
    weight, bias = both(anatomy.last) if anatomy.last is not None else ("", "")
    if seen.error is None:
        errors, features = error_without_bias(point[weight], update[weight])
        return ErrorsKnown(errors=errors[None], features=features[None]), errors.argmin()[None]
    errors = update[seen.error].flatten()
    labels = labels_of_bias(errors, view.num_forgotten) if view.labels is None else view.labels
    if view.num_forgotten == 1:
        # Of a linear layer the update is e hᵀ, and e is known; of a convolution it mixes what
        # stands at each position.
        slopes = update[weight] if seen.features else None
        reached = None if slopes is None else (slopes.T @ errors)[None] / errors.square().sum()
        return ErrorsKnown(errors=errors[None], features=reached), labels.to(errors.device)
    if seen.features and seen.error == bias and view.num_forgotten < len(errors):
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
