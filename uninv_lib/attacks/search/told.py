"""What the last layer's update tells of the forgotten samples, and what is assumed of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import Anatomy, both
from uninv_lib.attacks.losses import LOSSES, Loss, loss_of, onehot_of
from uninv_lib.attacks.search.known import ErrorsKnown, Known, LabelsKnown, NothingKnown, SumKnown
from uninv_lib.attacks.search.last_layer import TOLD_APART, separate
from uninv_lib.attacks.search.update import error_without_bias, labels_of_bias
from uninv_lib.models import logits
from uninv_lib.types import State, WhiteBoxView

Told = tuple[Known, Tensor] | tuple[Known, Tensor, str]
"""What is known of the samples, their labels, and a remark."""


def published(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]
) -> Told:
    """The labels are an assumption; raises ValueError without."""
    if view.labels is None:
        raise ValueError("view.labels: None; attack 'paper' assumes the forgotten samples' labels")
    like = next(iter(update.values()))
    labels = view.labels.to(like.device)
    loss, remark = loss_of(view, like.new_zeros(2), None)
    return LabelsKnown(labels=labels, loss=loss.function), labels, remark


def told(view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]) -> Told:
    """What the last layer's update tells of the errors, and the labels.

    Raises ValueError where several samples' errors cannot be told.
    """
    layer = anatomy.last
    moved = {name for name, change in update.items() if change.any()}
    if layer is None or not moved & set(both(layer)):
        return _untold(view, anatomy, point, update)
    weight, bias = both(layer)
    linear = _linear(anatomy)
    if view.num_forgotten == 1 and linear and bias not in moved:
        errors, features = error_without_bias(point[weight], update[weight])
        return ErrorsKnown(errors=errors[None], features=features[None]), errors.argmin()[None]
    if bias not in moved:
        raise ValueError(
            f"net: {layer!r} without a bias; allowed then: a linear one and one forgotten sample"
        )
    if view.num_forgotten == 1:
        return _of_one(view, anatomy, point, update)
    return _of_several(view, anatomy, point, update)


def only_signs(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]
) -> Told:
    """The labels alone, for the update of the last bias has the errors' signs and not their size.

    Raises ValueError where no label can be told.
    """
    names = both(anatomy.classifier)
    if names[1] not in update:
        return _untold(view, anatomy, point, update)
    loss, remark = loss_of(view, update[names[1]], None)
    return _sum_of(view, update[names[1]], loss, remark)


def _untold(view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]) -> Told:
    """Nothing, for no layer that makes the logits moved."""
    like = next(iter(update.values()))
    with torch.no_grad():
        shown = logits(anatomy.net, point, like.new_zeros(view.num_forgotten, *view.input_shape))
    remark = "net: no layer that makes the logits moved, so that the update tells no error or label"
    if view.labels is None:
        return NothingKnown(like=shown), torch.full((view.num_forgotten,), -1), remark
    onehot = onehot_of(view.labels.to(like.device), shown.shape[1]).to(like)
    return NothingKnown(like=shown, onehot=onehot), view.labels.to(like.device), remark


def _of_one(view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]) -> Told:
    """The output error is the update of the bias. Of a linear layer the weights' is e hᵀ, which
    tells h; of a convolution it mixes what stands at each position.
    """
    weight, bias = both(anatomy.classifier)
    errors, reached, answer = update[bias], None, None
    if _linear(anatomy):
        reached = (update[weight].T @ errors)[None] / errors.square().sum()
        answer = reached[0] @ point[weight].T + point[bias]
    loss, remark = loss_of(view, errors, answer)
    labels = loss.read(errors) if view.labels is None else view.labels
    every = [update[both(head)[1]] for head in anatomy.heads or (anatomy.classifier,)]
    known = ErrorsKnown(errors=torch.cat(every)[None], features=reached)
    return known, labels.to(errors.device), remark


def _of_several(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]
) -> Told:
    """The bias's update is the errors' sum; the weights' tells a linear layer's samples apart."""
    errors = update[both(anatomy.classifier)[1]]
    loss, remark = loss_of(view, errors, None)
    if loss is LOSSES["cross_entropy"] and len(errors) > view.num_forgotten and _linear(anatomy):
        found = separate(view, anatomy, point, update)
        if found.cost < TOLD_APART:
            each = found.errors.to(errors) * (errors.norm() / found.errors.sum(0).norm()).to(errors)
            known = ErrorsKnown(errors=each, features=found.features.to(errors))
            return known, found.labels.to(errors.device)
    return _sum_of(view, errors, loss, remark)


def _sum_of(view: WhiteBoxView, errors: Tensor, loss: Loss, remark: str) -> Told:
    """Labels, with errors to be found on the way."""
    if view.labels is None and loss is not LOSSES["cross_entropy"]:
        raise ValueError(
            f"labels: None of {view.num_forgotten} samples, with loss {view.loss!r}; allowed then: "
            "labels, or one forgotten sample"
        )
    labels = labels_of_bias(errors, view.num_forgotten) if view.labels is None else view.labels
    onehot = onehot_of(labels.to(errors.device), len(errors)).to(errors)
    sums = SumKnown(total=errors, onehot=onehot, answers=loss.answers)
    return sums, labels.to(errors.device), remark


def _linear(anatomy: Anatomy) -> bool:
    return isinstance(anatomy.net.get_submodule(anatomy.classifier), nn.Linear)
