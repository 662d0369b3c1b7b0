"""What is known of one request's samples, and the number whose gradient then imitates the
update.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from uninv_lib.attacks.search.costs import Measure, angle_cost, cosine_cost, relative_cost
from uninv_lib.attacks.search.stacking import SHARED, stackable


@dataclass(frozen=True, kw_only=True)
class Known(ABC):
    """features: (n, features), what reached the last layer, or the linear one that is named in
    `layer`, where the update tells it.

    Each field of a stack of targets has the targets in front.
    """

    features: Tensor | None = None
    layer: str | None = field(default=None, metadata=SHARED)

    @property
    def measure(self) -> Measure:
        """How far a dummy gradient is from the update: by its size, too, where that is known."""
        return relative_cost

    @abstractmethod
    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """The number whose gradient in the parameters imitates the update, from the logits of one
        target's dummies, (n, classes), and its free variables.
        """

    def free(self) -> list[Tensor]:
        """The start of the variables beside the inputs."""
        return []

    def free_of(self, logits: Tensor) -> list[list[Tensor]]:
        """What those variables may be for samples that give these logits, (n, classes)."""
        return [[]]


@stackable
@dataclass(frozen=True, kw_only=True)
class LabelsKnown(Known):
    """labels: (n,) int64, an assumption; loss: (logits, labels) -> its mean; each dummy's own loss
    makes its gradient, as published.
    """

    labels: Tensor
    loss: Callable[[Tensor, Tensor], Tensor] = field(default=cross_entropy, metadata=SHARED)

    @property
    def measure(self) -> Measure:
        """By the angle of the two, as published."""
        return cosine_cost

    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """The loss with the known labels."""
        return self.loss(logits, self.labels)


@stackable
@dataclass(frozen=True, kw_only=True)
class NothingKnown(Known):
    """like: (n, classes), zeros or any. Soft labels are found on the way (after Zhu et al. 2019,
    deep leakage from gradients).
    """

    like: Tensor

    @property
    def measure(self) -> Measure:
        """By the angles of the layers."""
        return angle_cost

    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """Cross-entropy with the found labels."""
        return cross_entropy(logits, free[0].softmax(1))

    def free(self) -> list[Tensor]:
        """Logits of each sample's label."""
        return [torch.zeros_like(self.like)]

    def free_of(self, logits: Tensor) -> list[list[Tensor]]:
        """One sample's label is any, and of several nothing is said."""
        certain = 100 * torch.eye(logits.shape[1]).to(logits)
        return [[label[None]] for label in certain] if len(logits) == 1 else []


@stackable
@dataclass(frozen=True, kw_only=True)
class ErrorsKnown(Known):
    """errors: (n, classes), softmax − onehot of each sample, up to one scale."""

    errors: Tensor

    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """What has the known errors for its gradient."""
        return (logits * self.errors).sum()


@stackable
@dataclass(frozen=True, kw_only=True)
class SumKnown(Known):
    """total: (classes,), the sum of the samples' errors, up to scale; onehot: (n, classes), their
    labels. Each error is answers(logits) − onehot, its logits found on the way.
    """

    total: Tensor
    onehot: Tensor
    answers: Callable[[Tensor], Tensor] = field(metadata=SHARED)

    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """What has the found errors for its gradient, scaled to their sum."""
        each = self.answers(free[0]) - self.onehot
        found: Tensor = (logits * each).sum() * self.total.abs().sum() / each.sum(0).abs().sum()
        return found

    def free(self) -> list[Tensor]:
        """Logits of each sample."""
        return [torch.zeros_like(self.onehot)]

    def free_of(self, logits: Tensor) -> list[list[Tensor]]:
        """Their own."""
        return [[logits]]
