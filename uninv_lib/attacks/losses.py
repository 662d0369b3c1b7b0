"""The loss that was ascended: what it makes of logits and labels, and what an output error of it
tells of the label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, one_hot

from uninv_lib.types import WhiteBoxView, unknown

FITS = 0.99
"""Cosine with the error that binary cross-entropy gives from which it is taken for the loss
(ours)."""
BALANCED = 0.1
"""Sum of the errors, in their sizes, from which they are not those of cross-entropy."""
ALLOWED = "allowed: a function of logits (n, classes) and int64 labels (n,) that gives one number"


@dataclass(frozen=True)
class Loss:
    """function: (logits (n, classes), labels) -> the mean loss; answers: (n, classes) -> what the
    loss holds against the labels, so that answers − labels is the error of each logit; read: one
    sample's error, (classes,), up to a positive scale -> its label, (1,) int64 or, where each class
    is a question of its own, (1, classes).
    """

    function: Callable[[Tensor, Tensor], Tensor]
    answers: Callable[[Tensor], Tensor]
    read: Callable[[Tensor], Tensor]


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def _as_is(logits: Tensor) -> Tensor:
    return logits


def _lowest(errors: Tensor) -> Tensor:
    """The only class whose answer is too low for its label."""
    return errors.argmin()[None]


def _below(errors: Tensor) -> Tensor:
    """Yes, 1, where the answer is too low, for it lies between no and yes."""
    return (errors < 0).long()[None] if len(errors) > 1 else (errors < 0).long()


def _untold(errors: Tensor) -> Tensor:
    """−1: a number is told by its error only to who knows the rate."""
    return torch.full((1,), -1)


def _like(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The function with labels of the logits' type and shape."""
    return lambda logits, labels: function(logits, labels.to(logits).reshape(logits.shape))


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(cross_entropy, _softmax, _lowest),
    "bce": Loss(_like(binary_cross_entropy_with_logits), torch.sigmoid, _below),
    "mse": Loss(_like(mse_loss), _as_is, _untold),
}
"""By name: one label of several classes, with smoothed labels or without; yes or no, once or for
each class; a number, or several. A sum in place of the mean, or a weight, scales the update
alone."""


def loss_of(
    view: WhiteBoxView, errors: Tensor | None = None, logits: Tensor | None = None
) -> tuple[Loss, str]:
    """The loss of a view and, where it names none, a remark on what was inferred from one sample's
    errors, (classes,), and the logits that its features give, where both are known.

    Raises ValueError for a name that is none of LOSSES.
    """
    if callable(view.loss):
        return _of(view.loss), ""
    if view.loss is not None:
        if view.loss not in LOSSES:
            raise ValueError(unknown("loss", view.loss, LOSSES))
        return LOSSES[view.loss], ""
    if errors is None or not _binary(errors, logits):
        return LOSSES["cross_entropy"], ""
    return LOSSES["bce"], (
        "loss: the errors of the logits are those of binary cross-entropy, each class a question "
        "of its own; of a regression it is loss='mse'"
    )


def _binary(errors: Tensor, logits: Tensor | None) -> bool:
    """Whether σ(logits) − labels points along the errors, and a softmax does not."""
    if logits is None or len(errors) == 1:
        return len(errors) == 1
    fits = [
        torch.cosine_similarity(loss.answers(logits) - labels, errors, dim=0)
        for loss, labels in (
            (LOSSES["cross_entropy"], one_hot(errors.argmin(), len(errors))),
            (LOSSES["bce"], (errors < 0).to(errors)),
        )
    ]
    return bool(fits[1] > FITS > fits[0])


def _of(function: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A user's loss on int64 labels: read by trying each label, with the answers unknown."""

    def one(logits: Tensor, labels: Tensor) -> Tensor:
        try:
            value = function(logits, labels)
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"loss: it says: {error}; {ALLOWED}") from error
        if not isinstance(value, Tensor) or value.ndim:
            came = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r}"
            raise ValueError(f"loss: it gives {came}; {ALLOWED}")
        return value

    def slope(logits: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = torch.func.grad(lambda z: one(z, labels))(logits)
        return found

    def read(errors: Tensor) -> Tensor:
        classes = len(errors)
        tried = torch.zeros(1, classes).to(errors)
        labels = torch.arange(max(2, classes), device=errors.device)
        fits = [torch.cosine_similarity(slope(tried, y[None])[0], errors, dim=0) for y in labels]
        return torch.stack(fits).argmax()[None]

    return Loss(one, _softmax, read)


def unlike(errors: Tensor, count: int) -> str:
    """What in the errors is none of an ascent on cross-entropy, "" where nothing is."""
    total, sizes = errors.sum().abs().item(), errors.abs().sum().item()
    if total > BALANCED * sizes:
        return (
            "loss: the errors of the logits do not add up to 0, as those of cross-entropy do, so "
            "they do not tell the label; loss= may say what it is"
        )
    if count == 1 and len(errors) > 2 and (errors > 0).sum() == 1:
        return (
            f"loss: class {int(errors.argmax())} alone is pulled up, as by a step down the loss: "
            "were before and after exchanged, or the sample trained on? The label is then this one"
        )
    return ""


def onehot_of(labels: Tensor, classes: int) -> Tensor:
    """(n, classes) of labels (n,), which are classes, or of answers (n, classes) as they are."""
    if labels.ndim == 2:
        return labels
    return one_hot(labels, classes) if classes > 1 else labels[:, None]
