"""Probes by the model's own gradient, for who sees it from inside."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.attacks.labels.probes.downhill import CONFIDENCE, downhill, margin
from uninv_lib.attacks.session import Session
from uninv_lib.types import BlackBoxView, Predict


def gradient(
    view: BlackBoxView, count: int, *, session: Session, iterations: int = 60, lr: float = 0.1
) -> Tensor:
    """As published in white box. Raises ValueError for a predict that gives no gradient."""
    return downhill(view, count, session, _asked, CONFIDENCE, iterations, lr)


def _asked(predict: Predict, inputs: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    x = inputs.detach().requires_grad_()
    value = margin(predict(x), labels).sum()
    if not value.requires_grad:
        raise ValueError(
            "predict: gives no gradient; allowed for method='gradient': a model seen from "
            "inside, else 'zoo'"
        )
    slope: Tensor = torch.autograd.grad(value, x)[0]
    return slope
