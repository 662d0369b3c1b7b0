"""Training: fit (pretraining from scratch), fine_tune (the paper's private training) and
evaluate.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from uninv_lib.models import AT_ONCE, logits, state_of
from uninv_lib.support.progress import Progress, steps
from uninv_lib.types import Recorded, Split, State


def _batches(size: int, batch_size: int, rng: torch.Generator) -> list[Tensor]:
    return list(torch.randperm(size, generator=rng).split(batch_size)) if size else []


def _augment(inputs: Tensor, flip: bool, rng: torch.Generator) -> Tensor:
    """Random shifts of up to a sixteenth of the side (edges repeated) and, if asked for, random
    mirror images.
    """
    side = inputs.shape[-1]
    reach = side // 16
    padded = pad(inputs, [reach] * 4, mode="replicate")
    top, left = torch.randint(2 * reach + 1, (2, len(inputs)), generator=rng)
    rows = top[:, None, None, None] + torch.arange(inputs.shape[-2])[None, None, :, None]
    columns = left[:, None, None, None] + torch.arange(side)[None, None, None, :]
    mirrored = torch.rand(len(inputs), generator=rng) < 0.5 * flip
    columns = torch.where(mirrored[:, None, None, None], columns.flip(-1), columns)
    sample = torch.arange(len(inputs))[:, None, None, None]
    channel = torch.arange(inputs.shape[1])[None, :, None, None]
    return padded[sample, channel, rows, columns]


def _writes_past_its_memory(net: nn.Module) -> bool:
    """Whether a backward pass in channels_last ends the process on CPUs without AVX-512 (oneDNN of
    torch 2.13): that of a convolution of 1 x 1 with strides, of fewer channels than a register has.
    """
    return any(
        layer.kernel_size == (1, 1) and layer.stride != (1, 1) and layer.in_channels < 8
        for layer in net.modules()
        if isinstance(layer, nn.Conv2d)
    )


def fit(
    net: nn.Module,
    split: Split,
    *,
    rng: torch.Generator,
    epochs: int = 20,
    lr: float = 0.1,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    augment: bool = False,
    flip: bool = False,
    bfloat16: bool = False,
    clip: float | None = None,
    progress: Progress = False,
) -> State:
    """Train a copy of `net` from its present weights; returns its state.

    SGD with Nesterov momentum 0.9, one warm-up and cosine cycle that peaks at `lr`. The paper's
    code trains 120 epochs at lr 0.1, batch 128, weight decay 5e-4; the cycle reaches its accuracy
    in a sixth (ours). bfloat16: forward and backward in 16 bits, the weights in theirs; clip: the
    greatest norm of a step's gradient.
    """
    net = copy.deepcopy(net).train()
    if not _writes_past_its_memory(net):
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster on CPUs
    optimiser = torch.optim.SGD(
        net.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=weight_decay
    )
    total = epochs * -(-len(split) // batch_size)
    warm_up = 0.25 if total != 4 else 0.3  # of one step alone torch divides by its length, 0
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lr, total_steps=max(total, 2), pct_start=warm_up
    )
    with steps(total, "pretraining", progress) as tick:
        for batch in (
            batch for _ in range(epochs) for batch in _batches(len(split), batch_size, rng)
        ):
            inputs = split.inputs[batch]
            inputs = _augment(inputs, flip, rng) if augment else inputs
            optimiser.zero_grad()
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bfloat16):
                loss = cross_entropy(net(inputs), split.labels[batch])
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimiser.step()
            schedule.step()
            tick()
    return state_of(net)


def slopes_of(net: nn.Module, state: State, loss: Callable[[State], Tensor]) -> dict[str, Tensor]:
    """The gradient of any loss of the state, by parameter name."""
    parameters = {name: state[name].detach().requires_grad_() for name, _ in net.named_parameters()}
    slopes = torch.autograd.grad(loss({**state, **parameters}), list(parameters.values()))
    return dict(zip(parameters, slopes, strict=True))


def gradient(
    net: nn.Module, state: State, split: Split, *, label_smoothing: float = 0.0
) -> dict[str, Tensor]:
    """∇L, the mean cross-entropy's gradient over the samples, by parameter name (eq. 1)."""

    def loss(at: State) -> Tensor:
        given = logits(net, at, split.inputs)
        return cross_entropy(given, split.labels, label_smoothing=label_smoothing)

    return slopes_of(net, state, loss)


def moved(state: State, slopes: Mapping[str, Tensor], rate: float) -> State:
    """θ − rate · slopes."""
    return {name: t - rate * slopes[name] if name in slopes else t for name, t in state.items()}


def step(
    net: nn.Module, state: State, split: Split, rate: float, *, label_smoothing: float = 0.0
) -> State:
    """One step of gradient descent with this rate, θ − rate · ∇L; a negative rate ascends."""
    return moved(state, gradient(net, state, split, label_smoothing=label_smoothing), rate)


def fine_tune(
    net: nn.Module,
    state: State,
    split: Split,
    *,
    rng: torch.Generator,
    lr: float = 1e-3,
    epochs: int = 1,
    batch_size: int = 128,
    history: list[Recorded] | None = None,
) -> State:
    """Plain SGD from `state` with frozen BatchNorm statistics, as in the paper's code (lr 1e-3, one
    epoch); its steps are added to `history`.

    No samples, or no epochs: the same state.
    """
    for _ in range(epochs):
        for batch in _batches(len(split), batch_size, rng):
            before, samples = state, split.take(batch)
            state = step(net, before, samples, lr)
            if history is not None:
                history.append(Recorded(samples, before, state))
    return state


@torch.no_grad()
def evaluate(net: nn.Module, state: State, split: Split) -> float:
    """Accuracy in [0, 1]; NaN without samples."""
    parts = zip(split.inputs.split(AT_ONCE), split.labels.split(AT_ONCE), strict=True)
    hits = [logits(net, state, inputs).argmax(1) == labels for inputs, labels in parts]
    return torch.cat(hits).double().mean().item() if len(split) else float("nan")
