"""Approximate unlearning: climb the loss of the forgotten samples."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.training import step
from uninv_lib.types import Split, State, Trained


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
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="share of a label that all classes get of the loss")
    ] = 0.0,
) -> State:
    """θ + unlearning_rate · ∇L(forget), `unlearning_steps` times; one step, as in the official
    code.

    unlearning_batch_size: forgotten samples a step takes, in an order drawn anew for each pass over
    them; without, each step takes all. Raises FloatingPointError where the ascent diverges: the
    loss has no upper bound.
    """
    state, size = trained.state, unlearning_batch_size or len(forget)
    batches = [] if unlearning_batch_size else [forget] * unlearning_steps
    while len(batches) < unlearning_steps:
        batches += [
            forget.take(part) for part in torch.randperm(len(forget), generator=rng).split(size)
        ]
    for i, batch in enumerate(batches[:unlearning_steps]):
        state = step(trained.net, state, batch, -unlearning_rate, label_smoothing=label_smoothing)
        if not all(torch.isfinite(state[name]).all() for name, _ in trained.net.named_parameters()):
            raise FloatingPointError(
                f"gradient_ascent: not finite after step {i + 1} of {unlearning_steps} at "
                f"unlearning_rate {unlearning_rate:g}; the method failed, take fewer steps or "
                "a lower rate"
            )
    return state
