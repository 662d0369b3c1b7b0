"""What sparsification dropped, filled in where what was released tells it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from uninv_lib.attacks.adaptive.low_rank import (
    completed,
    linear_layers,
    moved_by,
    parts_of,
    rows_of,
    update_of,
)
from uninv_lib.types import WhiteBoxView

FINE = 1e-3
"""The smallest released entry, beside the root mean square of all, below which nothing that counts
was dropped (ours)."""


def refilled(view: WhiteBoxView) -> WhiteBoxView:
    """An entry that did not move is one that was dropped: all that is known of it is that it was
    smaller than the smallest that was released (ours).

    One sample's linear layers are of rank one and tell it from what was released. Elsewhere it
    counts for nothing in a search.
    """
    update = update_of(view)
    sizes = torch.cat([u[u != 0].abs() for u in update.values()])
    if not len(sizes) or sizes.min() < FINE * sizes.square().mean().sqrt():
        return view
    filled: dict[str, Tensor] = {}
    weights = {n: (u != 0).to(view.before[n]) for n, u in update.items()}
    for names in linear_layers(view) if view.num_forgotten == 1 else ():
        rows = rows_of(update, names)
        remain = rows != 0
        told = completed(rows, remain).clamp(-sizes.min(), sizes.min())
        filled |= parts_of(rows.where(remain, told), names)
        weights |= {name: torch.ones_like(weights[name]) for name in names}
    return replace(moved_by(view, filled), weights=weights)
