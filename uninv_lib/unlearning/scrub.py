"""Approximate unlearning: a student that leaves its teacher where the forgotten samples are.

SCRUB of Kurmanji et al. 2023, "Towards Unbounded Machine Unlearning".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.steps import Loss, Rate, Steps, descend, divergence, error, retained


def scrub(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    unlearning_rate: Rate = 3e-3,
    unlearning_steps: Steps = 10,
    max_steps: Annotated[
        int,
        Field(ge=0, le=10**6, description="of the steps, the first that also leave the teacher"),
    ] = 8,
    distillation_weight: Annotated[
        float, Field(ge=0, le=1, description="share of the teacher in the retained samples' loss")
    ] = 0.5,
) -> State:
    """θ after `unlearning_steps` min steps; in front of each of the first `max_steps` a max step
    (Kurmanji et al. 2023).

    A max step climbs the divergence of the student's answers from those of the teacher, θ, on the
    forgotten samples. A min step descends a · divergence + (1 − a) · L on a minibatch of retained
    ones, a = distillation_weight. Student and teacher are one at first, where that divergence has
    no slope, and from where it rises towards more confidence as well: the first max step climbs
    L(forget) instead (ours). Reads both parts. A step takes a gradient of each sample that it sees,
    and the teacher's answer. Without forgotten samples θ stays as it is; without retained ones the
    max steps remain. Raises FloatingPointError where it diverges.
    """
    if not len(forget):
        return dict(trained.state)
    net, teacher, a = trained.net, trained.state, distillation_weight

    def climb(at: State) -> torch.Tensor:
        return -error(net, at, forget)

    def leave(at: State) -> torch.Tensor:
        return -divergence(net, at, forget.inputs, teacher)

    def stay(kept: Split) -> Loss:
        return lambda at: (
            a * divergence(net, at, kept.inputs, teacher) + (1 - a) * error(net, at, kept)
        )

    def losses() -> Iterator[Loss]:
        yield from [climb] * bool(max_steps)
        for i, kept in enumerate(retained(trained, retain, unlearning_steps, rng)):
            if 0 < i < max_steps:
                yield leave
            if len(kept):
                yield stay(kept)

    return descend("scrub", trained, losses(), unlearning_rate)
