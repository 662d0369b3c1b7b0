"""Rotation: the update is turned away from itself and stays as long as it was."""

from __future__ import annotations

from math import cos, radians, sin
from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.defenses.parts import flat, needed, orthonormal, released, unflat, update_of
from uninv_lib.types import Split, State, Trained


def cosine(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        float,
        Field(gt=0, le=90, description="degrees between both updates", examples=[30, 60, 80, 90]),
    ],
) -> State:
    """The update turned by `strength` degrees towards a random direction that is orthogonal to it
    and to the gradients of up to 32 retained samples, so that their losses do not see the turn.

    In the spirit of UnlearnShield (2026, arXiv 2601.20325), which perturbs in cosine space under
    constraints that it optimises; ours are met in closed form.
    """
    if not strength:
        return dict(unlearned)
    update = update_of(unlearned, trained)
    whole = flat(update.values())
    taken = orthonormal(torch.cat([needed(trained, retain, rng), whole[None]]))
    aside = torch.randn(len(whole), generator=rng).to(whole)
    aside = aside - taken.T @ (taken @ aside)
    angle = radians(strength)
    turned = cos(angle) * whole + sin(angle) * whole.norm() * aside / aside.norm()
    return released(unlearned, trained, unflat(turned, update))
