"""Pruning: the smallest weights of the released model become zero."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.defenses.parts import share_below
from uninv_lib.types import Split, State, Trained


def pruning(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        float,
        Field(gt=0, lt=1, description="share of the weights", examples=[0.1, 0.3, 0.5, 0.9]),
    ],
) -> State:
    """unlearned with the share `strength` of its weights, smallest first over all layers, set to
    zero.

    Global and unstructured, of weights of convolutions and linear layers, not of biases or
    BatchNorm (the paper). Raises ValueError for a share outside [0, 1).
    """
    if not 0 <= strength < 1:
        raise ValueError(f"strength: {strength:g}; allowed for pruning: a share from 0, below 1")
    names = [name for name, parameter in trained.net.named_parameters() if parameter.ndim > 1]
    threshold = share_below([unlearned[name] for name in names], strength)
    if threshold is None:
        return dict(unlearned)
    return {
        name: torch.where(t.abs() > threshold, t, torch.zeros_like(t)) if name in names else t
        for name, t in unlearned.items()
    }
