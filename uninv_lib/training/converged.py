"""The private training: from θ_0 to θ on the private samples, and to θ_u without the forgotten
ones.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from uninv_lib.anatomy import anatomy_of, entered
from uninv_lib.training.heads import WEIGHT_DECAY, Softmax, with_head
from uninv_lib.types import Recipe, Recorded, Split, State

GOAL, FAILED = 1e-6, 1e-4
"""Length of the gradient at which the fit ends (one surprising sample's own is about 1 to 50), and
above which it failed."""


def converged(
    recipe: Recipe,
    private: Split,
    *,
    rng: torch.Generator,
    history: list[Recorded] | None = None,
    weight_decay: Annotated[
        float, Field(gt=0, description="L2 penalty beside the sum of the samples' losses")
    ] = WEIGHT_DECAY,
) -> State:
    """θ_0 with its last linear layer fitted to its optimum on these samples, see `converge`;
    nothing is drawn.
    """
    return converge(recipe.net, recipe.pretrained, private, weight_decay=weight_decay)


def converge(
    net: nn.Module, state: State, private: Split, *, weight_decay: float = WEIGHT_DECAY
) -> State:
    """`state` with its last linear layer fitted to the optimum; everything in front of it stays as
    it is.

    Minimises the sum of the cross-entropies + weight_decay / 2 · ‖[W, b]‖², the setting of Bertran
    et al. 2024 with softmax regression for ridge regression. It has one solution, wherever it
    starts. 1 is scikit-learn's default. Raises FloatingPointError where the optimum was not
    reached.
    """
    anatomy = anatomy_of(net, tuple(private.inputs.shape[1:]), state)
    names = anatomy.head
    classes, width = state[names[0]].shape
    solution = torch.zeros(classes, width + 1, dtype=torch.double)  # the optimum without any sample
    if len(private):
        rows = entered(anatomy, state, private.inputs)
        # With more features than samples the solution lies in the samples' span, a smaller problem.
        span = torch.linalg.qr(rows.T).Q if len(rows) < rows.shape[1] else None
        rows = rows if span is None else rows @ span
        solution = _optimum(Softmax(rows, private.labels.cpu(), classes, weight_decay))
        solution = solution if span is None else solution @ span.T
    return with_head(state, names, solution)


def _optimum(fit: Softmax) -> Tensor:
    """(classes, columns of rows), float64, by Newton's method in a trust region (scipy's
    trust-ncg).

    L-BFGS stopped at a gradient a hundred times longer, and on photos took two to four times as
    long.
    """
    from scipy.optimize import minimize

    def matrix(flat: Any) -> Tensor:
        return torch.from_numpy(flat).view(fit.classes, -1)

    def loss_and_gradient(flat: Any) -> tuple[float, Any]:
        weights = matrix(flat)
        return fit.loss(weights).item(), fit.gradient(weights).flatten().numpy()

    def curvature(flat: Any, direction: Any) -> Any:
        return fit.curvature(matrix(flat), matrix(direction)).flatten().numpy()

    start = torch.zeros(fit.classes * fit.rows.shape[1], dtype=torch.double).numpy()
    options = {"gtol": GOAL, "maxiter": 1000}
    found = minimize(
        loss_and_gradient, start, jac=True, hessp=curvature, method="trust-ncg", options=options
    )
    length = torch.from_numpy(found.jac).norm().item()
    if not length < FAILED:
        raise FloatingPointError(
            f"converged: a gradient of length {length:.1e} is left; try a larger weight_decay"
        )
    return matrix(found.x)
