"""What sign compression pressed together, drawn apart again, and matched by signs where nothing
else is left.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from uninv_lib.anatomy import anatomy_of_view
from uninv_lib.attacks.adaptive.low_rank import moved_by, update_of
from uninv_lib.types import WhiteBoxView

EVEN = 1e-2
"""How much the sizes of a tensor may differ, relatively, for them to tell nothing (ours)."""


def unpressed(view: WhiteBoxView) -> WhiteBoxView:
    """Below a strength of 1, which this attacker knows, the defense is inverted.

    At 1 only signs are left: a search matches them, as against a first step of Adam; in a net that
    begins with a linear layer they are themselves a column times a row, which the closed form takes
    (ours).
    """
    power, update = 1 - (view.strength or 0), update_of(view)
    if power > 0:
        return moved_by(view, {n: _drawn(u, 1 / power) for n, u in update.items()})
    pressed = all(_even(u) for u in update.values())
    if not pressed or anatomy_of_view(view).starts_dense:
        return view
    alike = {n: u.sign() for n, u in update.items()}
    return replace(moved_by(view, alike), step="adam")


def _drawn(update: Tensor, power: float) -> Tensor:
    """The sizes raised to this power, with the mean that they had."""
    sizes, tiny = update.abs(), torch.finfo(update.dtype).tiny
    drawn = update.sign() * (sizes / sizes.max().clamp_min(tiny)) ** power
    return drawn * (sizes.mean() / drawn.abs().mean().clamp_min(tiny))


def _even(update: Tensor) -> bool:
    sizes = update[update != 0].abs()
    return not len(sizes) or bool(sizes.min() > (1 - EVEN) * sizes.max())
