"""The developer's forecast: how much would each person's deletion show, were the model trained
again without them?
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uninv_lib.training import gradient
from uninv_lib.types import Split, State


@dataclass(frozen=True)
class Forecast:
    """cosine: (n,) in [−1, 1], of θ_u − θ and the sample's gradient; norms: (n,), length of each
    gradient; mean_norm: length of the mean gradient of all n.
    """

    cosine: Tensor
    norms: Tensor
    mean_norm: float


def stated_cosine(sample: Tensor, mean: Tensor) -> Tensor:
    """Cosine of g − ḡ and g, in [−1, 1]: gradients of samples (..., p) and the mean gradient (p,)
    -> (...).

    One full-batch step without sample j differs from the step with it by α/(N − 1) · (g_j − ḡ), so
    this is how well the stated attack on exact unlearning sees the sample (ours). With ρ = ‖ḡ‖/‖g‖
    and c = cos(g, ḡ) it is (1 − ρ c)/√(1 − 2 ρ c + ρ²); for c = 0 it is 1/√(1 + ρ²). NaN for a
    sample whose gradient is 0.
    """
    rest = sample - mean
    cosine: Tensor = (rest * sample).sum(-1) / (rest.norm(dim=-1) * sample.norm(dim=-1))
    return cosine


def forecast_leak(net: nn.Module, state: State, private: Split) -> Forecast:
    """What the stated attack would see of each private sample, if it alone were forgotten by exact
    unlearning.

    Exact at θ_0 for one full-batch epoch; at θ, the only model a developer may still hold, off by
    the change of the gradients along that one step. Takes n + 1 gradients and the memory of two.
    Raises ValueError for fewer than 2.
    """
    if len(private) < 2:
        raise ValueError(f"private: {len(private)} samples; allowed: 2 or more")
    mean = torch.cat([part.flatten() for part in gradient(net, state, private).values()])
    cosine, norms = [], []
    for i in range(len(private)):
        slopes = gradient(net, state, private.take(torch.tensor([i], device=private.labels.device)))
        sample = torch.cat([part.flatten() for part in slopes.values()])
        cosine.append(stated_cosine(sample, mean))
        norms.append(sample.norm())
    return Forecast(torch.stack(cosine), torch.stack(norms), mean.norm().item())
