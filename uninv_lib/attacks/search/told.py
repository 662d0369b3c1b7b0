"""What the update tells of the forgotten samples where it shows their output errors, and what is
assumed of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.anatomy import Anatomy, both
from uninv_lib.attacks.losses import LOSSES, Loss, loss_of, onehot_of, unlike
from uninv_lib.attacks.search.error import Shown
from uninv_lib.attacks.search.known import ErrorsKnown, Known, LabelsKnown, NothingKnown, SumKnown
from uninv_lib.attacks.search.last_layer import TOLD_APART, most_apart, separate
from uninv_lib.attacks.search.update import error_without_bias, labels_of_bias
from uninv_lib.models import logits
from uninv_lib.types import State, WhiteBoxView

Told = tuple[Known, Tensor, str]
"""What is known of the samples, their labels, and a remark or ""."""


def published(view: WhiteBoxView, update: dict[str, Tensor]) -> Told:
    """The labels are an assumption; raises ValueError without."""
    if view.labels is None:
        raise ValueError("view.labels: None; attack 'paper' assumes the forgotten samples' labels")
    like = next(iter(update.values()))
    labels = view.labels.to(like.device)
    loss, remark = loss_of(view)
    return LabelsKnown(labels=labels, loss=loss.function), labels, remark


def told(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor], seen: Shown
) -> Told:
    """What the update of the parameter that shows the error, and of the last layer, tells of the
    errors and the labels.

    Raises ValueError where several samples' labels are told by nothing.
    """
    one, moved = view.num_forgotten == 1, {n for n, change in update.items() if change.any()}
    weight, _ = both(anatomy.last) if anatomy.last is not None else ("", "")
    if one and len(anatomy.heads) > 1 and all(both(head)[1] in moved for head in anatomy.heads):
        return _of_one(view, anatomy, point, update, Shown(both(anatomy.heads[0])[1], True))
    if seen.error in moved:
        return (_of_one if one else _of_several)(view, anatomy, point, update, seen)
    told_apart = weight in moved and len(point[weight]) > 2  # else every error points the same way
    if one and seen.features and told_apart and anatomy.heads:
        errors, features = error_without_bias(point[weight], update[weight])
        known = ErrorsKnown(errors=errors[None], features=features[None])
        return known, errors.argmin()[None], ""
    return _untold(view, anatomy, point, update)


def only_signs(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor], seen: Shown
) -> Told:
    """The labels alone, for the update that shows the errors has their signs and not their size.

    Raises ValueError where no label can be told.
    """
    if seen.error not in update:
        return _untold(view, anatomy, point, update)
    errors = update[str(seen.error)].flatten()
    return _sum_of(view, errors, *loss_of(view, errors, None))


def _untold(view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor]) -> Told:
    """No error: the labels as they are assumed, or as the last layer tells them, where each pulls
    its own class down; else they are found on the way.
    """
    remark = (
        "net: no parameter's update is the output error; the search is over the whole net, by the "
        "angle of the update alone"
    )
    like, labels = next(iter(update.values())), view.labels
    names = both(anatomy.last) if anatomy.last in anatomy.heads else ()
    pulled = [update[n] for n in reversed(names) if n in update and update[n].any()]
    if labels is None and pulled:
        each = pulled[0].reshape(len(pulled[0]), -1).sum(1)
        labels = labels_of_bias(each, view.num_forgotten)
    if labels is None:
        with torch.no_grad():
            shape = (view.num_forgotten, *view.input_shape)
            given = logits(anatomy.net, point, like.new_zeros(shape))
        return NothingKnown(like=given), torch.full((view.num_forgotten,), -1), remark
    labels = labels.to(like.device)
    return LabelsKnown(labels=labels, loss=loss_of(view)[0].function), labels, remark


def _of_one(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor], seen: Shown
) -> Told:
    """Of a linear layer the weight's update is e hᵀ, and e is known; of a convolution it mixes what
    stands at each position.
    """
    errors, reached, answers = update[str(seen.error)].flatten(), None, None
    if seen.features:
        weight, bias = both(anatomy.classifier)
        reached = (update[weight].T @ errors)[None] / errors.square().sum()
        answers = reached[0] @ point[weight].T + point.get(bias, 0)
    loss, remark = _loss(view, errors, answers)
    labels = loss.read(errors) if view.labels is None else view.labels
    several = anatomy.heads if len(anatomy.heads) > 1 else ()
    every = [update[both(head)[1]] for head in several] or [errors]
    known = ErrorsKnown(errors=torch.cat(every)[None], features=reached)
    return known, labels.to(errors.device), remark


def _loss(view: WhiteBoxView, errors: Tensor, answers: Tensor | None = None) -> tuple[Loss, str]:
    """The loss, and a remark on what was inferred of it or speaks against it."""
    loss, remark = loss_of(view, errors, answers)
    assumed = view.loss is None and loss is LOSSES["cross_entropy"]
    return loss, unlike(errors, view.num_forgotten) if assumed else remark


def _of_several(
    view: WhiteBoxView, anatomy: Anatomy, point: State, update: dict[str, Tensor], seen: Shown
) -> Told:
    """The errors' sum is known; a linear last layer's weights tell the samples apart."""
    errors, count = update[str(seen.error)].flatten(), view.num_forgotten
    loss, remark = _loss(view, errors)
    softmax = loss is LOSSES["cross_entropy"]
    linear = seen.features and seen.error == both(anatomy.classifier)[1]
    if softmax and linear and count <= most_apart(point[both(anatomy.classifier)[0]]):
        found = separate(view, anatomy, point, update)
        if found.cost < TOLD_APART:
            each = found.errors.to(errors) * (errors.norm() / found.errors.sum(0).norm()).to(errors)
            known = ErrorsKnown(errors=each, features=found.features.to(errors))
            return known, found.labels.to(errors.device), remark
        mixed = "the last layer does not tell the samples apart; errors and labels are a guess"
        remark = f"{remark}; {mixed}" if remark else mixed
    return _sum_of(view, errors, loss, remark)


def _sum_of(view: WhiteBoxView, errors: Tensor, loss: Loss, remark: str) -> Told:
    """Labels, with errors to be found on the way."""
    count, softmax = view.num_forgotten, loss is LOSSES["cross_entropy"]
    if view.labels is None and not softmax:
        raise ValueError(
            f"labels: None of {count} samples whose loss is not cross-entropy; allowed then: "
            "labels, or one forgotten sample"
        )
    labels = labels_of_bias(errors, count) if view.labels is None else view.labels
    onehot = onehot_of(labels.to(errors.device), len(errors)).to(errors)
    sums = SumKnown(total=errors, onehot=onehot, answers=loss.answers)
    return sums, labels.to(errors.device), remark
