"""Approximate unlearning: noise where the retained samples leave the weights free.

Golatkar et al. 2020, "Eternal Sunshine of the Spotless Net".
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from uninv_lib.training import gradient
from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.steps import one_by_one


def fisher(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    fisher_noise: Annotated[
        float, Field(gt=0, description="deviation of the noise where the information is 1")
    ] = 1e-3,
    dampening: Annotated[float, Field(gt=0, description="added to the information")] = 1e-3,
) -> State:
    """θ + fisher_noise · (F + dampening)^(−1/4) · Gaussian noise, F being the diagonal of the
    retained samples' Fisher information at θ (Golatkar et al. 2020).

    F is taken of the true labels. Of the forgotten samples only whether there are any is read, and
    one gradient of each retained sample, as in one epoch of training again. Without forgotten
    samples θ stays as it is; without retained ones F is 0, and all weights get the same noise.
    """
    if not len(forget):
        return dict(trained.state)
    found = {}
    for name, information in information_of(trained, retain).items():
        noise = torch.randn(information.shape, generator=rng).to(information)
        found[name] = fisher_noise * (information + dampening) ** -0.25 * noise
    return {name: t + found[name] if name in found else t for name, t in trained.state.items()}


def information_of(trained: Trained, retain: Split) -> dict[str, Tensor]:
    """Mean of the squared slopes of each sample's loss, by parameter name; 0 without samples."""
    net, state = trained.net, trained.state
    total = {name: torch.zeros_like(state[name]) for name, _ in net.named_parameters()}
    for sample in one_by_one(retain):
        for name, slope in gradient(net, state, sample).items():
            total[name] += slope.square() / len(retain)
    return total
