"""Approximate unlearning: climb the loss of the forgotten samples."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.training import step
from uninv_lib.training.noise import noisy
from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.steps import finite, minibatches


def gradient_ascent(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    unlearning_rate: Annotated[float, Field(gt=0, description="step size of the ascent")] = 1e-3,
    unlearning_steps: Annotated[int, Field(ge=1, le=10**6, description="steps of the ascent")] = 1,
    unlearning_batch_size: Annotated[
        int | None,
        Field(ge=1, le=10**6, description="forgotten samples a step takes; without, all"),
    ] = None,
    step_noise: Annotated[
        float,
        Field(ge=0, description="norm of Gaussian noise in each step, in units of the step's"),
    ] = 0.0,
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="share of a label that all classes get of the loss")
    ] = 0.0,
) -> State:
    """θ + unlearning_rate · ∇L(forget), `unlearning_steps` times; one step, as in the official
    code. Reads the forgotten samples only, and takes one gradient of each a step: of one sample,
    1 / (N − 1) of an epoch of training again. Without forgotten samples θ stays as it is.

    unlearning_batch_size: forgotten samples a step takes, in an order drawn anew for each pass over
    them; without, each step takes all. step_noise: the paper's parameter obfuscation, here within
    the steps; at 0 nothing is drawn for it. Raises FloatingPointError where the ascent diverges:
    the loss has no upper bound.
    """
    state, net = trained.state, trained.net
    if not len(forget):
        return dict(state)
    batches = minibatches(forget, unlearning_batch_size, unlearning_steps, rng)
    for i, batch in enumerate(batches):
        before = state
        state = step(net, before, batch, -unlearning_rate, label_smoothing=label_smoothing)
        if step_noise:
            state = noisy(net, before, state, step_noise, rng=rng)
        finite("gradient_ascent", trained, state, i + 1, unlearning_steps, unlearning_rate)
    return state
