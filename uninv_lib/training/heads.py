"""What training to the optimum of the last linear layer minimises: its gradient and its curvature.

Weights are [W, b], (classes, features + 1), float64; rows are [h, 1] of what reaches the layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from uninv_lib.anatomy import Anatomy, entered
from uninv_lib.types import Split, State

WEIGHT_DECAY = 1.0
"""scikit-learn's default of both."""
EXACT = 1e-12
"""Relative residual at which a Newton step counts as solved."""


@dataclass(frozen=True)
class Softmax:
    """Sum of the cross-entropies + weight_decay / 2 · ‖[W, b]‖²; rows: (n, features + 1); labels:
    (n,).
    """

    rows: Tensor
    labels: Tensor
    classes: int
    weight_decay: float

    def loss(self, weights: Tensor) -> Tensor:
        """The value, a scalar."""
        loss = cross_entropy(self.rows @ weights.T, self.labels, reduction="sum")
        return loss + self.weight_decay / 2 * weights.square().sum()

    def gradient(self, weights: Tensor) -> Tensor:
        """(classes, features + 1)."""
        true = one_hot(self.labels, self.classes).double()
        p = (self.rows @ weights.T).softmax(1)
        return (p - true).T @ self.rows + self.weight_decay * weights

    def curvature(self, weights: Tensor, direction: Tensor) -> Tensor:
        """The Hessian at `weights` times a direction, both (classes, features + 1)."""
        p, z = (self.rows @ weights.T).softmax(1), self.rows @ direction.T
        change = p * (z - (p * z).sum(1, keepdim=True))
        return change.T @ self.rows + self.weight_decay * direction

    def newton_step(self, weights: Tensor) -> Tensor:
        """Hessian⁻¹ gradient, by conjugate gradients. Raises FloatingPointError where they stop
        short of it.
        """
        from scipy.sparse.linalg import LinearOperator, cg

        slopes = self.gradient(weights)

        def product(flat: Any) -> Any:
            direction = torch.from_numpy(flat).view_as(weights)
            return self.curvature(weights, direction).flatten().numpy()

        size = weights.numel()
        hessian = LinearOperator((size, size), matvec=product, dtype="float64")
        found, left = cg(hessian, slopes.flatten().numpy(), rtol=EXACT, atol=0.0)
        if left:
            raise FloatingPointError(
                f"newton: no solution after {left} conjugate gradients; try a larger weight_decay"
            )
        return torch.from_numpy(found).view_as(weights)


@dataclass(frozen=True)
class Squares:
    """Half the sum of the squared errors of one-hot targets + weight_decay / 2 · ‖[W, b]‖², ridge
    regression; rows: (n, features + 1); labels: (n,).
    """

    rows: Tensor
    labels: Tensor
    classes: int
    weight_decay: float

    def gradient(self, weights: Tensor) -> Tensor:
        """(classes, features + 1)."""
        error = self.rows @ weights.T - one_hot(self.labels, self.classes).double()
        return error.T @ self.rows + self.weight_decay * weights

    def newton_step(self, weights: Tensor) -> Tensor:
        """Hessian⁻¹ gradient; from anywhere it leads to the optimum."""
        ones = torch.eye(self.rows.shape[1], dtype=torch.double)
        hessian = self.rows.T @ self.rows + self.weight_decay * ones
        solved: Tensor = torch.linalg.solve(hessian, self.gradient(weights).T)
        return solved.T


def rows_of(anatomy: Anatomy, state: State, split: Split) -> Tensor:
    """[h, 1] of each sample, (n, features + 1), float64 on the CPU; n may be 0."""
    if len(split):
        return entered(anatomy, state, split.inputs)
    return torch.zeros(0, state[anatomy.head[0]].shape[1] + 1, dtype=torch.double)


def with_head(state: State, names: tuple[str, str], weights: Tensor) -> State:
    """The state with [W, b] in the layer of these names."""
    parts = weights[:, :-1].contiguous(), weights[:, -1].contiguous()
    return {**state, **{n: part.to(state[n]) for n, part in zip(names, parts, strict=True)}}
