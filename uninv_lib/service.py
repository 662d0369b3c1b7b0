"""What a service answers its users: class probabilities as they are, rounded, noisy, the label, or
of a net with dropout.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from uninv_lib.anatomy import anatomy_of
from uninv_lib.models import logits, predictor
from uninv_lib.models.ensemble import Ensemble
from uninv_lib.types import Predict, State

NOISE = 1e-3
"""Standard deviation of a noisy service's probabilities (ours)."""
DECIMALS = 2
"""Of a service that rounds (ours)."""


DROPPED = 0.5
"""Share of the features that dropout drops (Srivastava et al. 2014)."""


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
    "dropout": exact,
}
"""(probabilities (n, classes), rng) -> what is answered, (n, classes), by name."""


def dropping(
    net: nn.Module, state: State, input_shape: tuple[int, ...], rng: torch.Generator
) -> Predict:
    """The service's net with DROPPED of the features in front of its last layer left out, drawn
    anew for each answer, and the others the larger for it.

    Raises ValueError for a net without a last layer.
    """

    def thin(layer: nn.Module, entered: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        kept = (torch.rand(entered[0].shape, generator=rng) >= DROPPED).to(entered[0])
        return entered[0] * kept / (1 - DROPPED), *entered[1:]

    nets = net.members if isinstance(net, Ensemble) else [net]
    layers = [n.get_submodule(anatomy_of(n, input_shape).classifier) for n in nets]

    def answered(inputs: Tensor) -> Tensor:
        handles = [layer.register_forward_pre_hook(thin) for layer in layers]
        try:
            return logits(net, state, inputs).softmax(1)
        finally:
            for handle in handles:
                handle.remove()

    return answered


def asked(
    net: nn.Module,
    state: State,
    answers: str,
    rng: torch.Generator,
    *,
    input_shape: tuple[int, ...],
) -> Predict:
    """A service that answers so, of a net with this state that takes (n, *input_shape)."""
    if answers == "dropout":
        return dropping(net, state, input_shape, rng)
    return answering(predictor(net, state), answers, rng)


def answering(predict: Predict, answers: str, rng: torch.Generator) -> Predict:
    """A service that shows its users these answers in place of all that `predict` gives."""
    return lambda inputs: ANSWERS[answers](predict(inputs), rng)
