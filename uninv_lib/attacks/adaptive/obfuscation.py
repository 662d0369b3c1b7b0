"""Noise averaged over releases and shrunk where it drowns what a layer can hold."""

from __future__ import annotations

from dataclasses import replace

import torch

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
    """The mean of all releases that are known, and Wiener's filter of what noise is left in it: the
    strength tells its size, so that each tensor counts by how much of it is update.

    A linear layer's update has no more ranks than samples were forgotten, and the weights that one
    of them has are shrunk towards the mean input as far as noise turned them (ours).
    """
    releases = (view.after, *(view.releases or ()))
    mean = {n: sum(r[n].double() for r in releases) / len(releases) for n in view.after}
    averaged = replace(view, after={n: mean[n].to(t) for n, t in view.after.items()})
    relative = (view.strength or 0) / len(releases) ** 0.5
    if not relative:
        return averaged if len(releases) > 1 else view
    update = update_of(averaged)
    whole = sum(u.square().sum() for u in update.values())
    noise = relative**2 / (1 + relative**2) * whole / sum(u.numel() for u in update.values())
    found = {n: u * _share(u.square().mean(), noise) for n, u in update.items()}
    for names in linear_layers(view):
        rows = rows_of(update, names)
        kept = nearest(rows, view.num_forgotten)
        left = _share(kept.square().sum(), noise * rows.shape[1] * view.num_forgotten)
        found |= parts_of(torch.cat([left * kept[:, :-1], kept[:, -1:]], 1), names)
    return moved_by(averaged, found)


def _share(seen: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Of what is seen, in squares, what is no noise."""
    return (1 - noise / seen.clamp_min(torch.finfo(seen.dtype).tiny)).clamp_min(0)
