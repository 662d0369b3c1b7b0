"""Pruning undone, where it shows and where what remains tells the rest."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import both
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
    for name, layer in view.net.named_modules() if view.num_forgotten == 1 else ():
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            weight, bias = both(name)
            errors = (after[bias] - view.before[bias]).double()
            remain = view.after[weight] != 0
            moved = _completed(errors, (after[weight] - view.before[weight]).double(), remain)
            after[weight] = torch.where(
                remain, after[weight], (view.before[weight] + moved).to(after[weight])
            )
    return replace(view, after=after)


def _completed(errors: Tensor, moved: Tensor, remain: Tensor) -> Tensor:
    """The matrix of rank one with these errors, (units,), that fits the entries which remain,
    (units, inputs).
    """
    weights = errors.square() @ remain.double()
    x = (errors @ (moved * remain)) / weights.clamp_min(torch.finfo(weights.dtype).tiny)
    return errors[:, None] * x
