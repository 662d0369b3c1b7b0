"""Pruning undone, where it shows and where what remains tells the rest."""

from __future__ import annotations

from dataclasses import replace

import torch

from uninv_lib.attacks.adaptive.low_rank import linear_layers, row_of
from uninv_lib.types import WhiteBoxView


def unmask(view: WhiteBoxView) -> WhiteBoxView:
    """Pruning undone where it shows: a parameter that is exactly zero after is one that was pruned
    (ours).

    It gets the value that it had before. In a linear layer with a bias more is known of one
    forgotten sample: unit i moved its bias, which is not pruned, by e_i and its weights by e_i x,
    so that the weights which remain tell x, and x tells what became of the others.
    """
    after = {
        name: torch.where(tensor == 0, view.before[name], tensor)
        for name, tensor in view.after.items()
    }
    for weight, bias in linear_layers(view) if view.num_forgotten == 1 else ():
        errors = (after[bias] - view.before[bias]).double()
        remain = view.after[weight] != 0
        x = row_of(errors, (after[weight] - view.before[weight]).double(), remain)
        after[weight] = torch.where(
            remain, after[weight], (view.before[weight] + errors[:, None] * x).to(after[weight])
        )
    return replace(view, after=after)
