"""Noise averaged over releases and filtered where it drowns what a layer can hold."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from uninv_lib.attacks.adaptive.low_rank import (
    linear_layers,
    moved_by,
    nearest,
    parts_of,
    rows_of,
    update_of,
)
from uninv_lib.types import WhiteBoxView


def denoised(view: WhiteBoxView) -> WhiteBoxView:
    """The mean of all releases that are known, filtered by `filtered`: the strength tells how much
    noise is left in it (ours).
    """
    releases = (view.after, *(view.releases or ()))
    relative = (view.strength or 0) / len(releases) ** 0.5
    if len(releases) > 1:
        means = {n: torch.stack([r[n].double() for r in releases]).mean(0) for n in view.after}
        view = replace(view, after={n: means[n].to(t) for n, t in view.after.items()})
    return filtered(view, relative**2 / (1 + relative**2))


def filtered(view: WhiteBoxView, share: float) -> WhiteBoxView:
    """Wiener's filter of white noise that is this share of the update's squared length: each tensor
    counts by how much of it is not noise; a linear layer's is brought to the rank that the
    forgotten samples have.
    """
    if not share:
        return view
    update = update_of(view)
    whole = torch.stack([u.square().sum() for u in update.values()]).sum()
    noise = share * whole / sum(u.numel() for u in update.values())
    found = {n: u * _clear(u.square().mean(), noise) for n, u in update.items()}
    for names in linear_layers(view):
        found |= parts_of(nearest(rows_of(update, names), view.num_forgotten), names)
    return moved_by(view, found)


def _clear(seen: Tensor, noise: Tensor) -> Tensor:
    """The share of what is seen, in squares, that is not noise."""
    return (1 - noise / seen.clamp_min(torch.finfo(seen.dtype).tiny)).clamp_min(0)
