"""Projection: what the update does to retained samples is taken out of it."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.defenses.parts import flat, needed, orthonormal, released, unflat, update_of
from uninv_lib.types import Split, State, Trained


def projection(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="share of the component along retained gradients that is removed",
            examples=[0.5, 0.9, 1],
        ),
    ],
) -> State:
    """The update less `strength` times its component in the span of the gradients, at the model
    before, of up to 32 retained samples: at 1 their losses stay what they were, to first order
    (after orthogonal gradient descent, Farajtabar et al. 2020).
    """
    if not strength:
        return dict(unlearned)
    update = update_of(unlearned, trained)
    basis, whole = orthonormal(needed(trained, retain, rng)), flat(update.values())
    left = whole - strength * (basis.T @ (basis @ whole))
    return released(unlearned, trained, unflat(left, update))
