"""build(name, dataset) -> nn.Module: one classifier a file, which takes inputs in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from uninv_lib.models.calls import AT_ONCE, logits, predictor, state_of
from uninv_lib.models.convnet import convnet
from uninv_lib.models.linear import linear
from uninv_lib.models.mlp import mlp
from uninv_lib.models.normalise import Normalise
from uninv_lib.models.resnet18 import resnet18
from uninv_lib.models.vgg16 import vgg16
from uninv_lib.models.vit import vit
from uninv_lib.types import Dataset, unknown

__all__ = ["AT_ONCE", "MODELS", "build", "logits", "predictor", "state_of"]

MODELS: dict[str, Callable[..., list[nn.Module]]] = {
    "linear": linear,
    "mlp": mlp,
    "convnet": convnet,
    "resnet18": resnet18,
    "vgg16": vgg16,
    "vit": vit,
}
"""(input_shape, classes, *, options) -> layers, by name."""


def build(name: str, dataset: Dataset, *, seed: int = 0, **options: Any) -> nn.Module:
    """A fresh classifier for this data set, in eval mode: (n, *input_shape) in [0, 1] -> logits
    (n, classes).

    options: those of the model's function, such as `width` of the convnet (64 in the paper; 16
    serves CPUs). Raises ValueError for an unknown name, or an image model on a table.
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, MODELS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = MODELS[name](dataset.input_shape, dataset.num_classes, **options)
    return nn.Sequential(Normalise(dataset.public.inputs), *layers).eval()
