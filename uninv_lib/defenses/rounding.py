"""Rounding: the released parameters stand on a grid."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.defenses.parts import length, update_of
from uninv_lib.types import Split, State, Trained


def rounding(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        float,
        Field(
            gt=0,
            description="step of the grid in units of the update's root mean square",
            examples=[1, 3, 10, 30],
        ),
    ],
) -> State:
    """Every parameter of unlearned at the nearest multiple of one step, which is `strength` times
    the root mean square of unlearned − before over all parameters (ours).
    """
    update = update_of(unlearned, trained)
    count = sum(u.numel() for u in update.values())
    step = strength * length(u.double() for u in update.values()) / count**0.5
    if not step:
        return dict(unlearned)
    return {
        n: ((t.double() / step).round() * step).to(t) if n in update else t
        for n, t in unlearned.items()
    }
