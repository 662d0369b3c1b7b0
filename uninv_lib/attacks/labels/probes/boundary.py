"""Points where the predicted class changes as probes (ours)."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.attacks.labels.probes.asked import public_of
from uninv_lib.attacks.session import Session
from uninv_lib.types import BlackBoxView

HALVINGS = 22  # of the way between two inputs in [0, 1]: as many as float32 can tell apart


@torch.no_grad()
def boundary(view: BlackBoxView, count: int, *, session: Session) -> Tensor:
    """For each class points on its side of the boundary, between a public sample taken for it and
    one that is not. Bisection asks for nothing but the predicted class.

    Assumes `view.public`. Raises ValueError without, and where a class has none or all.
    """
    samples, predict, rng = public_of(view), view.before, session.rng
    taken, starts, ends = predict(samples).argmax(1), [], []
    for label in range(view.num_classes):
        own, other = (taken == label).nonzero()[:, 0], (taken != label).nonzero()[:, 0]
        if not len(own) or not len(other):
            raise ValueError(
                f"public: {len(own)} of {len(samples)} are taken for class {label}; allowed: "
                "some, not all"
            )
        starts += own[torch.randint(len(own), (count,), generator=rng)].tolist()
        ends += other[torch.randint(len(other), (count,), generator=rng)].tolist()
    inside, outside = samples[starts], samples[ends]
    labels = torch.arange(view.num_classes, device=samples.device).repeat_interleave(count)
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        within = (predict(middle).argmax(1) == labels).reshape(-1, *[1] * (samples.ndim - 1))
        inside, outside = torch.where(within, middle, inside), torch.where(within, outside, middle)
    return inside.reshape(view.num_classes, count, *samples.shape[1:])
