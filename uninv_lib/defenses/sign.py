"""Sign compression: of each entry of the update less than its size is told, at last its sign."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from uninv_lib.defenses.parts import released, update_of
from uninv_lib.types import Split, State, Trained


def sign(
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
            description="from the update at 0 to its signs alone at 1",
            examples=[0.5, 0.9, 1],
        ),
    ],
) -> State:
    """before + sign(u) |u|^(1 − strength) of the update u, with the mean size of each tensor kept.

    At 1 this is sign compression (Bernstein et al. 2018, signSGD). The family is ours; below 1 it
    is a function that has an inverse, so that who knows the strength has the update back.
    """
    if not strength:
        return dict(unlearned)
    update = update_of(unlearned, trained)
    return released(unlearned, trained, {n: _pressed(u, 1 - strength) for n, u in update.items()})


def _pressed(update: Tensor, power: float) -> Tensor:
    sizes = update.abs()
    pressed = (
        update.sign() * (sizes / sizes.max().clamp_min(torch.finfo(sizes.dtype).tiny)) ** power
    )
    mean = pressed.abs().mean().clamp_min(torch.finfo(sizes.dtype).tiny)
    return pressed * (sizes.mean() / mean)
