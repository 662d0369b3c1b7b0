"""Certified removal: one Newton step of the last linear layer.

Guo et al. 2020, "Certified Data Removal from Machine Learning Models".
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.anatomy import anatomy_of, joined
from uninv_lib.training.heads import WEIGHT_DECAY, Softmax, Squares, rows_of, with_head
from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.needs import require

FITS: dict[str, type[Softmax] | type[Squares]] = {"converged": Softmax, "ridge": Squares}
"""What the trainings minimise."""


def newton(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    removal_noise: Annotated[
        float, Field(ge=0, description="deviation of Gaussian noise on the last layer's weights")
    ] = 0.0,
) -> State:
    """θ with its last linear layer after one Newton step on the retained samples' loss, and
    Gaussian noise over what the step leaves to do (Guo et al. 2020).

    Of a training to the optimum, at whose θ that loss has the forgotten samples' gradient, negated;
    the L2 penalty is the training's. For ridge regression the step ends in the new optimum, for
    cross-entropies near it. Reads the retained samples, all at once: their features, and a small
    system for the last layer, which is what a training again costs for ridge regression and one of
    its steps for cross-entropies. Where the noise is 0, nothing is drawn. Without forgotten samples
    θ stays as it is; without retained ones the penalty alone is left, and the layer goes to 0.
    Raises ValueError for another training, FloatingPointError where the system is not solved.
    """
    require("newton", trained)
    if not len(forget):
        return dict(trained.state)
    anatomy = anatomy_of(trained.net, tuple(forget.inputs.shape[1:]), trained.state)
    weights = joined(trained.state, anatomy.head)
    fit = FITS[trained.training](
        rows_of(anatomy, trained.state, retain),
        retain.labels.cpu(),
        len(weights),
        trained.options.get("weight_decay", WEIGHT_DECAY),
    )
    weights = weights - fit.newton_step(weights)
    if removal_noise:
        noise = torch.randn(weights.shape, generator=rng, dtype=weights.dtype)
        weights = weights + removal_noise * noise
    return with_head(trained.state, anatomy.head, weights)
