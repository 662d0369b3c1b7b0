"""Sparsification: only the largest entries of the update are released."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.defenses.parts import share_below, update_of
from uninv_lib.types import Split, State, Trained


def top_k(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="share of the update's entries that are dropped",
            examples=[0.5, 0.9, 0.99, 0.999],
        ),
    ],
) -> State:
    """unlearned, but with the value before wherever the update is among the share `strength` of its
    smallest entries, over all parameters (after Aji and Heafield 2017).
    """
    update = update_of(unlearned, trained)
    limit = share_below(update.values(), strength)
    if limit is None:
        return dict(unlearned)
    kept = {n: u.abs() > limit for n, u in update.items()}
    return {
        name: torch.where(kept[name], t, trained.state[name]) if name in kept else t
        for name, t in unlearned.items()
    }
