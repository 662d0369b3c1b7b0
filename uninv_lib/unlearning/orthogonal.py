"""Approximate unlearning: an ascent that retained samples do not feel, to first order.

Orthogonal unlearning, the defense proposed beside the reminiscence attack (ReA, arXiv 2507.20573).
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from uninv_lib.training import gradient, moved
from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.steps import Rate, Steps, finite, flat, one_by_one, shaped

ALIKE = 1e-5
"""Of the longest direction, below which another is rounding (ours)."""


def orthogonal(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    unlearning_rate: Rate = 1e-2,
    unlearning_steps: Steps = 1,
    protected: Annotated[
        int, Field(ge=0, le=10**6, description="retained samples, drawn anew for each step")
    ] = 64,
) -> State:
    """θ after ascents on L(forget), each without its part in the span of the gradients of
    `protected` retained samples (after arXiv 2507.20573).

    Reads both parts. A step takes one gradient of each forgotten and each protected sample, and
    holds the latter: protected times the size of the net. Without forgotten samples θ stays as it
    is; without retained or protected ones it is `gradient_ascent`. Raises FloatingPointError where
    it diverges.
    """
    state = trained.state
    if not len(forget):
        return dict(state)
    for i in range(unlearning_steps):
        felt = retain.take(torch.randperm(len(retain), generator=rng)[:protected])
        slopes = gradient(trained.net, state, forget)
        free = unfelt(flat(slopes), rows_of_gradients(trained, state, felt))
        state = moved(state, shaped(free, slopes), -unlearning_rate)
        finite("orthogonal", trained, state, i + 1, unlearning_steps, unlearning_rate)
    return state


def rows_of_gradients(trained: Trained, state: State, samples: Split) -> Tensor:
    """(n, parameters): the gradient of each sample's loss."""
    rows = [flat(gradient(trained.net, state, sample)) for sample in one_by_one(samples)]
    width = sum(state[name].numel() for name, _ in trained.net.named_parameters())
    return torch.stack(rows) if rows else samples.inputs.new_zeros(0, width)


def unfelt(vector: Tensor, rows: Tensor) -> Tensor:
    """The part of a vector (p,) that is orthogonal to each of the rows (n, p)."""
    if not torch.isfinite(rows).all():  # what has diverged is told by its step
        return torch.full_like(vector, torch.nan)
    left, sizes, _ = torch.linalg.svd(rows.T, full_matrices=False)
    basis = left[:, sizes > ALIKE * sizes.max()] if sizes.numel() else left
    for _ in range(2):  # what rounding left of the first time
        vector = vector - basis @ (basis.T @ vector)
    return vector
