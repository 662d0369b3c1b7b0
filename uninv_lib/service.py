"""What a service answers its users: class probabilities as they are, rounded, noisy, or the
label.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib.types import Predict

NOISE = 1e-3
"""Standard deviation of a noisy service's probabilities (ours)."""
DECIMALS = 2
"""Of a service that rounds (ours)."""


def exact(probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """As they are."""
    return probabilities


def rounded(probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """To DECIMALS."""
    return probabilities.round(decimals=DECIMALS)


def noisy(probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """With Gaussian noise of NOISE, drawn anew for each answer."""
    return probabilities + (NOISE * torch.randn(probabilities.shape, generator=rng)).to(
        probabilities
    )


def label(probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """One for the likeliest class, zero for the others."""
    return one_hot(probabilities.argmax(1), probabilities.shape[1]).to(probabilities)


ANSWERS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "probabilities": exact,
    "rounded": rounded,
    "noisy": noisy,
    "label": label,
}
"""(probabilities (n, classes), rng) -> what is answered, (n, classes), by name."""


def answering(predict: Predict, answers: str, rng: torch.Generator) -> Predict:
    """A service that shows its users these answers in place of all that `predict` gives."""
    return lambda inputs: ANSWERS[answers](predict(inputs), rng)
