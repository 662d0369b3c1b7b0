"""Fine-tuning on the retained samples with differential privacy."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from uninv_lib.models import logits
from uninv_lib.support.extras import needs
from uninv_lib.types import Split, State, Trained


def dp_sgd(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        float,
        Field(
            gt=0,
            description="noise multiplier: deviation of the noise in units of dp_clip",
            examples=[1, 10, 100],
        ),
    ],
    dp_epochs: Annotated[int, Field(ge=1, le=10**6, description="epochs of DP-SGD")] = 1,
    dp_clip: Annotated[
        float, Field(gt=0, description="length that each sample's gradient is clipped to")
    ] = 1.0,
    dp_delta: Annotated[
        float, Field(gt=0, lt=1, description="δ at which the metric epsilon is told")
    ] = 1e-5,
) -> State:
    """unlearned, fine-tuned by DP-SGD (Abadi et al. 2016) on the retained samples at the private
    training's rate, with Opacus's optimizer; 0 stands for no defense.

    Each step takes every sample with the probability batch size / samples, as the accountant
    assumes. What ε bounds is what the steps tell of a retained sample; the forgotten are no part of
    them, and are hidden by noise and drift alone. Raises ModuleNotFoundError without the extra
    "dp".
    """
    if not strength or not len(retain):
        return dict(unlearned)
    with needs("dp"):
        from opacus.optimizers import DPOptimizer
    names = [name for name, _ in trained.net.named_parameters()]
    parameters = {n: nn.Parameter(unlearned[n].detach().cpu().clone()) for n in names}
    rate, steps = sampling(len(retain), trained.batch_size, dp_epochs)
    optimiser = DPOptimizer(
        torch.optim.SGD(parameters.values(), trained.lr),
        noise_multiplier=strength,
        max_grad_norm=dp_clip,
        expected_batch_size=rate * len(retain),
        generator=rng,
    )
    for _ in range(steps):
        batch = retain.take((torch.rand(len(retain), generator=rng) < rate).nonzero()[:, 0])
        optimiser.zero_grad()
        state = {**unlearned, **{n: p.detach().to(unlearned[n]) for n, p in parameters.items()}}
        for name, slopes in per_sample(trained.net, state, batch).items():
            parameters[name].grad_sample = slopes.cpu()  # type: ignore[attr-defined]
        optimiser.step()
    return {**unlearned, **{n: p.detach().to(unlearned[n]) for n, p in parameters.items()}}


def per_sample(net: nn.Module, state: State, batch: Split) -> dict[str, Tensor]:
    """The gradient of each sample's loss, (samples, *shape), by the names of the parameters."""
    parameters = {n: state[n] for n, _ in net.named_parameters()}
    if not len(batch):
        return {n: p.new_zeros(0, *p.shape) for n, p in parameters.items()}

    def loss(p: dict[str, Tensor], x: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(logits(net, {**state, **p}, x[None]), label[None])

    each: Any = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    found: dict[str, Tensor] = each(parameters, batch.inputs, batch.labels)
    return found


def sampling(samples: int, batch_size: int, epochs: int) -> tuple[float, int]:
    """(the probability of each sample in each step, steps)."""
    return min(1.0, batch_size / samples), epochs * -(-samples // batch_size)


def epsilon(
    noise: float, samples: int, batch_size: int, *, epochs: int = 1, delta: float = 1e-5
) -> float:
    """ε of (ε, δ)-differential privacy for each retained sample, by Opacus's accountant of Rényi
    divergences (Mironov 2017). Raises ModuleNotFoundError without the extra "dp".
    """
    with needs("dp"):
        from opacus.accountants.analysis import rdp
    rate, steps = sampling(samples, batch_size, epochs)
    orders = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
    spent = rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=steps, orders=orders)
    return float(rdp.get_privacy_spent(orders=orders, rdp=spent, delta=delta)[0])
