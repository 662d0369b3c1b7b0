"""Approximate unlearning: random labels, for weights that matter to the forgotten samples only.

SalUn of Fan et al. 2024, "Empowering Machine Unlearning via Gradient-based Weight Saliency".
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from uninv_lib.training import gradient
from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.random_labels import mislead
from uninv_lib.unlearning.steps import Rate, Share, Steps, descend, flat, shaped


def salun(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    unlearning_rate: Rate = 1e-3,
    unlearning_steps: Steps = 5,
    retain_weight: Share = 0.8,
    saliency: Annotated[
        float, Field(gt=0, le=1, description="share of the weights that may move")
    ] = 0.5,
) -> State:
    """θ after the steps of `random_labels`, in which only the share `saliency` of the weights
    moves, those with the largest slopes of the forgotten samples' loss at θ (Fan et al. 2024).

    Reads both parts; as much as `random_labels` and one gradient of each forgotten sample. Without
    forgotten samples θ stays as it is; without retained ones their part falls away. Raises
    FloatingPointError where it diverges.
    """
    if not len(forget):
        return dict(trained.state)
    losses = mislead(trained, forget, retain, unlearning_steps, retain_weight, rng)
    mask = salient(trained, forget, saliency)
    return descend("salun", trained, losses, unlearning_rate, mask)


def salient(trained: Trained, forget: Split, share: float) -> dict[str, Tensor]:
    """1 for this share of the weights, one at least, those with the largest slopes; else 0."""
    slopes = gradient(trained.net, trained.state, forget)
    sizes = flat(slopes).abs()
    chosen = sizes.topk(max(1, round(share * len(sizes)))).indices
    return shaped(torch.zeros_like(sizes).index_fill(0, chosen, 1), slopes)
