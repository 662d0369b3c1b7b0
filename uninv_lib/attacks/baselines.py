"""What an attacker has without an attack: the null baselines that stand beside every recovery."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.models import AT_ONCE
from uninv_lib.types import BlackBoxView, Split


def random_image(count: int, input_shape: tuple[int, ...], *, rng: torch.Generator) -> Tensor:
    """(count, *input_shape) of uniform noise in [0, 1]."""
    return torch.rand(count, *input_shape, generator=rng)


def class_mean(labels: Tensor, public: Split) -> Tensor:
    """The mean of the public samples of each label, (n,) -> (n, *input_shape); of all, for a class
    without any.
    """
    means = []
    for label in labels:
        own = public.inputs[public.labels == label]
        means.append((own if len(own) else public.inputs).mean(0))
    return torch.stack(means)


@torch.no_grad()
def max_diff(view: BlackBoxView, public: Split, count: int) -> Tensor:
    """MaxDiff (Bertran et al. 2024): the `count` public samples whose probabilities changed most,
    by L1 distance.
    """
    parts = public.inputs.split(AT_ONCE)
    changes = [(view.after(x) - view.before(x)).abs().sum(1) for x in parts]
    return public.inputs[torch.cat(changes).topk(min(count, len(public))).indices]
