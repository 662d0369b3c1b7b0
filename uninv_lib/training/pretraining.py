"""From scratch to θ_0 on public samples, kept on disk by what it depends on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from uninv_lib.support.cache import digest, kept
from uninv_lib.support.code import code_of
from uninv_lib.support.progress import Progress
from uninv_lib.training.sgd import fit
from uninv_lib.types import Dataset, State

LARGE, MIDDLING = 10_000, 500
"""Public samples from which pretraining is as published, and from which batches are of 32."""
WIDE = 1_000
"""Inputs of a hidden layer from which a gradient is clipped."""


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether training in 16 bits is the faster one: half the time on newer CPUs, ten times as long
    on those that have to emulate it, which AVX2 tells (our measurements).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"


def rate_and_batch(samples: int) -> tuple[float, int]:
    """Learning rate and batch size. Published: 0.1 and 128, for 40,000 samples; small sets need
    more steps an epoch (ours).
    """
    if samples >= LARGE:
        return 0.1, 128
    return (0.05, 32) if samples >= MIDDLING else (0.05, 16)


def clip_of(net: nn.Module) -> float | None:
    """The greatest norm of a gradient: none, but 1 where no batch is normalised in front of
    convolutions or of a hidden layer of a thousand inputs, whose gradients grow until they blow the
    net up at these rates: to 300,000 and weights of 7,000 for an MLP on pictures of 3 x 32 x 32.
    GroupNorm is not enough: VGG16 learns nothing with it, unless its gradients are clipped (ours).
    """
    layers = list(net.modules())
    if any(isinstance(layer, _NormBase | nn.LayerNorm) for layer in layers):
        return None
    hidden = [layer for layer in layers if isinstance(layer, nn.Linear)][:-1]
    wide = any(layer.in_features >= WIDE for layer in hidden)
    return 1.0 if wide or any(type(layer) is nn.Conv2d for layer in layers) else None


def _trains_on_one(net: nn.Module, inputs: Tensor) -> bool:
    """BatchNorm cannot normalise one sample where its picture is down to one pixel."""
    try:
        copy.deepcopy(net).train()(inputs)
    except ValueError:
        return False
    return True


def pretrain(
    net: nn.Module,
    dataset: Dataset,
    *,
    rng: torch.Generator,
    epochs: int,
    device: torch.device,
    augmentation: bool = True,
    key: Sequence[object],
    code: Sequence[Callable[..., object]],
    progress: Progress = False,
) -> State:
    """θ_0 of a fresh net, trained on the public samples of a data set for so many epochs.

    Kept on disk by `key`, which tells how net and rng were made, by the functions in `code` that
    made them, and by what else it depends on.
    """
    public = dataset.public
    lr, batch_size = rate_and_batch(len(public))
    if len(public) % batch_size == 1 and not _trains_on_one(net, public.inputs[:1]):
        batch_size += 1
    bfloat16 = len(public) >= LARGE and fast_in_bfloat16(device)  # where minutes become hours
    threads = torch.get_num_threads()  # sums in another order give another model after enough steps
    augmented = augmentation and dataset.kind == "image"
    settings = [*key, epochs, lr, batch_size, augmented, bfloat16, device.type, threads]

    def compute() -> dict[str, Tensor]:
        return dict(
            fit(
                net.to(device),
                public.to(public.inputs.to(device)),
                rng=rng,
                epochs=epochs,
                lr=lr,
                batch_size=batch_size,
                augment=augmented,
                flip=dataset.mirrored,
                bfloat16=bfloat16,
                clip=clip_of(net),
                progress=progress,
            )
        )

    name = digest(
        code_of(fit, rate_and_batch, clip_of, *code), settings, public.inputs, public.labels
    )
    return kept("pretrained", name, compute)
