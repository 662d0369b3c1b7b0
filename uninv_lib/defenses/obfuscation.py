"""Parameter obfuscation: Gaussian noise on the released update."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.training.noise import noisy
from uninv_lib.types import Split, State, Trained


def obfuscation(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        float,
        Field(
            gt=0,
            description="norm of the noise in units of the update's",
            examples=[0.1, 0.3, 1, 3],
        ),
    ],
) -> State:
    """unlearned + Gaussian noise whose norm, over all parameters, is `strength` times that of
    unlearned − before.

    Relative to the update (ours): the same strength means the same to the attack for every model
    and rate.
    """
    return noisy(trained.net, trained.state, unlearned, strength, rng=rng)
