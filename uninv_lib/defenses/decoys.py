"""Decoys: the updates of other people are mixed in."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.defenses.parts import length, released, update_of
from uninv_lib.training import gradient
from uninv_lib.types import Split, State, Trained


def decoys(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[int, Field(ge=1, le=1000, description="decoys", examples=[1, 2, 3])],
) -> State:
    """unlearned, plus what ascent on each of `strength` retained samples, drawn without return,
    would add, as long as unlearned − before (ours).

    The forgotten hide among others; the others pay for it, for a decoy's own picture is in the
    update as much as theirs, and nobody has asked them. A sample whose gradient was lost in
    rounding is passed over. Raises ValueError for more decoys than retained samples.
    """
    if not 0 <= strength <= len(retain):
        raise ValueError(f"strength: {strength}; allowed for decoys: 0 to {len(retain)}, retained")
    update, left = update_of(unlearned, trained), strength
    target = length(update.values())
    for i in torch.randperm(len(retain), generator=rng):
        if not left:
            break
        slopes = gradient(trained.net, trained.state, retain.take(i[None]))
        scale = target / length(slopes.values())
        if scale.isfinite():
            update = {n: u + scale * slopes[n] for n, u in update.items()}
            left -= 1
    return released(unlearned, trained, update) if strength else dict(unlearned)
