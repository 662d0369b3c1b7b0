"""Probes by probabilities alone that stop where answers move most (ours)."""

from __future__ import annotations

from torch import Tensor

from uninv_lib.attacks.labels.probes.downhill import downhill
from uninv_lib.attacks.labels.probes.zoo import by_differences
from uninv_lib.attacks.session import Session
from uninv_lib.types import BlackBoxView

MIDDLING = 0.5  # p (1 − p), how far an answer moves with the logit, is largest there


def middling(
    view: BlackBoxView, count: int, *, session: Session, iterations: int = 60, lr: float = 0.1
) -> Tensor:
    """As `zoo`, down to a confidence of 0.5."""
    return downhill(view, count, session, by_differences, MIDDLING, iterations, lr)
