"""Public samples of middling confidence as probes (ours)."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.attacks.labels.probes.asked import public_of
from uninv_lib.attacks.labels.probes.middling import MIDDLING
from uninv_lib.attacks.session import Session
from uninv_lib.types import BlackBoxView


@torch.no_grad()
def public(view: BlackBoxView, count: int, *, session: Session) -> Tensor:
    """For each class the public samples taken for it with a confidence nearest to the middle:
    `count`, or as many as there are of the rarest class.

    Assumes `view.public`. Raises ValueError without, and where a class has none.
    """
    samples = public_of(view)
    confidence, taken = view.before(samples).max(1)
    there = torch.bincount(taken, minlength=view.num_classes)
    if not there.all():
        raise ValueError(
            f"public: no sample is taken for class {int(there.argmin())}; allowed: one or "
            "more of each"
        )
    count, chosen = min(count, int(there.min())), []
    for label in range(view.num_classes):
        own = (taken == label).nonzero()[:, 0]
        chosen.append(samples[own[(confidence[own] - MIDDLING).abs().argsort(stable=True)[:count]]])
    return torch.stack(chosen)
