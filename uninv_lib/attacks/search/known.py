"""What is known of one request's samples, and the number whose gradient then imitates the
update.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from uninv_lib.attacks.search.stacking import stackable


@dataclass(frozen=True, kw_only=True)
class Known(ABC):
    """features: (n, features), what reached the last layer, where the update tells it.

    Each field of a stack of targets has the targets in front.
    """

    features: Tensor | None = None
    scaled: ClassVar[bool] = True
    """Whether the objective's gradient has the length of the update, not its direction alone."""

    @abstractmethod
    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """The number whose gradient in the parameters imitates the update, from the logits of one
        target's dummies, (n, classes), and its free variables.
        """

    def free(self) -> list[Tensor]:
        """The start of the variables beside the inputs."""
        return []


@stackable
@dataclass(frozen=True, kw_only=True)
class LabelsKnown(Known):
    """labels: (n,) int64, an assumption; each dummy's own cross-entropy makes its gradient, as
    published.
    """

    labels: Tensor
    scaled: ClassVar[bool] = False

    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """Cross-entropy with the known labels."""
        return cross_entropy(logits, self.labels)


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
    labels. Each error is softmax − onehot, its softmax found on the way.
    """

    total: Tensor
    onehot: Tensor

    def objective(self, logits: Tensor, free: list[Tensor]) -> Tensor:
        """What has the errors of the found softmax for its gradient, scaled to their sum."""
        each = free[0].softmax(1) - self.onehot
        found: Tensor = (logits * each).sum() * self.total.abs().sum() / each.sum(0).abs().sum()
        return found

    def free(self) -> list[Tensor]:
        """Logits of each sample."""
        return [torch.zeros_like(self.onehot)]
