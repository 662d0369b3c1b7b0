"""What the dummies' gradients must imitate: the updates of one or more requests, with what the last
layer tells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from uninv_lib.anatomy import classifier
from uninv_lib.attacks.search.descent import Data, rows
from uninv_lib.attacks.search.last_layer import TOLD_APART, separate
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.attacks.search.update import error_without_bias, forgotten_gradient, labels_of_bias
from uninv_lib.types import State, WhiteBoxView


@dataclass(frozen=True)
class Targets:
    """Updates of requests to the same net (as `in_sequence` opens it), made at the same point.

    data: "update", by parameter name, each request's of length 1 over all; with "errors", (targets,
    n, classes), and "features", (targets, n, features), where the last layer's update tells them;
    with "total", the sum of the errors, and "onehot", where it does not; with "labels", for the
    published attack. labels: (targets, n) int64. shape: of one request's samples, (n,
    *input_shape).
    """

    net: nn.Module
    point: State
    shape: tuple[int, ...]
    data: Data
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Targets:
        """The targets at these positions."""
        return replace(self, data=rows(self.data, index), labels=self.labels[index])

    def free(self) -> list[Tensor]:
        """The start of the variables beside the inputs: logits of each sample, where its error is
        not known.
        """
        return [torch.zeros_like(self.data["onehot"])] if "onehot" in self.data else []


def objective(logits: Tensor, data: Data, free: list[Tensor]) -> Tensor:
    """The number whose gradient in the parameters imitates the update, from the logits of one
    target's dummies.
    """
    if "labels" in data:
        return cross_entropy(logits, data["labels"])
    if "errors" in data:
        known: Tensor = (logits * data["errors"]).sum()
        return known
    # Only the sum of the errors is known, up to scale: each is softmax − onehot, its softmax found
    # on the way.
    each = free[0].softmax(1) - data["onehot"]
    found: Tensor = (logits * each).sum() * data["total"].abs().sum() / each.sum(0).abs().sum()
    return found


def target_of(view: WhiteBoxView, *, error_known: bool) -> Targets:
    """One request. error_known: the output errors are read off the update; without, as published,
    the labels are an assumption, and each dummy's own cross-entropy makes its gradient.
    """
    update, point = forgotten_gradient(view)
    scale = torch.stack([change.norm() for change in update.values()]).norm()
    net, names = in_sequence(view.net)
    update = {name: update[old] / scale for name, old in names.items() if old in update}
    view, point = replace(view, net=net), {name: point[old] for name, old in names.items()}
    data, labels = _read(view, point, update) if error_known else _published(view, update)
    stacked = {name: tensor[None] for name, tensor in data.items()}
    stacked["update"] = {name: tensor[None] for name, tensor in update.items()}  # type: ignore[assignment]
    return Targets(net, point, (view.num_forgotten, *view.input_shape), stacked, labels[None])


def _published(view: WhiteBoxView, update: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    if view.labels is None:
        raise ValueError("view.labels: None; preset 'paper' assumes the forgotten samples' labels")
    labels = view.labels.to(next(iter(update.values())).device)
    return {"labels": labels}, labels


def _read(
    view: WhiteBoxView, point: State, update: dict[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """What the last layer's update tells of the errors, and the labels."""
    layer = classifier(view.net)
    slopes, linear = update[f"{layer}.weight"], isinstance(view.net.get_submodule(layer), nn.Linear)
    if view.num_forgotten == 1 and linear and f"{layer}.bias" not in update:
        errors, features = error_without_bias(point[f"{layer}.weight"], slopes)
        return {"errors": errors[None], "features": features[None]}, errors.argmin()[None]
    if f"{layer}.bias" not in update:
        raise ValueError(
            f"net: {layer!r} without a bias; allowed then: a linear one and one forgotten sample"
        )
    errors = update[f"{layer}.bias"]
    labels = labels_of_bias(errors, view.num_forgotten) if view.labels is None else view.labels
    if view.num_forgotten == 1:
        # Of a linear layer the update is e hᵀ, and e is known; of a convolution it mixes what
        # stands at each position.
        known = {"errors": errors[None]}
        if linear:
            known["features"] = (slopes.T @ errors)[None] / errors.square().sum()
        return known, labels.to(errors.device)
    if linear and view.num_forgotten < len(errors):
        found = separate(view, point, update)
        if found.cost < TOLD_APART:
            each = found.errors.to(errors) * (errors.norm() / found.errors.sum(0).norm()).to(errors)
            return {"errors": each, "features": found.features.to(errors)}, found.labels.to(
                errors.device
            )
    onehot = one_hot(labels.to(errors.device), len(errors)).to(errors)
    return {"total": errors, "onehot": onehot}, labels.to(errors.device)


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
        or set(first.data) != set(second.data)
    ):
        return False
    points = first.point, second.point
    return points[0].keys() == points[1].keys() and all(
        torch.equal(t, points[1][name]) for name, t in points[0].items()
    )


def stack(targets: list[Targets]) -> Targets:
    """One stack of targets that are `alike`."""

    def joined(parts: list[Data]) -> Data:
        return {
            name: joined([p[name] for p in parts])
            if isinstance(value, dict)
            else torch.cat([p[name] for p in parts])
            for name, value in parts[0].items()
        }

    return replace(
        targets[0],
        data=joined([t.data for t in targets]),
        labels=torch.cat([t.labels for t in targets]),
    )
