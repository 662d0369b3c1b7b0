"""build(name, dataset) -> nn.Module: small classifiers whose first layer normalises inputs in [0,
1].
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn

from uninv_lib._torchvision import import_torchvision
from uninv_lib.types import Dataset, Predict, State


class Normalise(nn.Module):
    """(x − mean) / std, per channel of an image or per feature of a table."""

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        over = [0, 2, 3] if inputs.ndim == 4 else [0]
        self.register_buffer("mean", inputs.mean(over, keepdim=True)[0])
        self.register_buffer("std", inputs.std(over, keepdim=True)[0].clamp_min(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def _linear(shape: tuple[int, ...], classes: int, width: int) -> list[nn.Module]:
    """Softmax regression: one linear layer."""
    return [nn.Flatten(), nn.Linear(prod(shape), classes)]


def _mlp(shape: tuple[int, ...], classes: int, width: int) -> list[nn.Module]:
    """One hidden layer of 8 · width units."""
    return [
        nn.Flatten(),
        nn.Linear(prod(shape), 8 * width),
        nn.ReLU(),
        nn.Linear(8 * width, classes),
    ]


def _convnet(shape: tuple[int, ...], classes: int, width: int) -> list[nn.Module]:
    """The paper's ConvNet: eight 3x3 convolutions with BatchNorm, two max-poolings, one linear
    layer.

    Pooling is 3 as published from 18 pixels on, 2 below (8x8 digits would otherwise shrink to
    nothing).
    """
    channels, side = [1, 2, 2, 4, 4, 4, 4, 4], min(shape[1:])
    pool, previous, layers = 3 if side >= 18 else 2, shape[0], list[nn.Module]()
    for i, factor in enumerate(channels):
        layers += [
            nn.Conv2d(previous, factor * width, 3, padding=1),
            nn.BatchNorm2d(factor * width),
            nn.ReLU(),
        ]
        layers += [nn.MaxPool2d(pool)] * (i in (5, 7))
        previous = factor * width
    with torch.no_grad():
        features = nn.Sequential(*layers, nn.Flatten()).eval()(torch.zeros(1, *shape)).shape[1]
    return [*layers, nn.Flatten(), nn.Linear(features, classes)]


def _resnet18(shape: tuple[int, ...], classes: int, width: int) -> list[nn.Module]:
    """torchvision's ResNet18 with a 3x3 stem and without the first pooling, as usual for small
    images.
    """
    net = import_torchvision("models").resnet18(num_classes=classes)
    net.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    return [net]


MODELS: dict[str, Callable[[tuple[int, ...], int, int], list[nn.Module]]] = {
    "linear": _linear,
    "mlp": _mlp,
    "convnet": _convnet,
    "resnet18": _resnet18,
}


def build(name: str, dataset: Dataset, *, width: int = 16, seed: int = 0) -> nn.Module:
    """A fresh classifier for this data set, in eval mode: (n, *input_shape) in [0, 1] -> logits (n,
    classes).

    width: channels of the convnet's first layer (64 in the paper; 16 serves CPUs), an eighth of the
    mlp's units. Raises ValueError for an unknown name, or an image model on a table.
    """
    if name not in MODELS:
        raise ValueError(f"model: {name!r}; allowed: {', '.join(MODELS)}")
    if dataset.kind == "table" and name in ("convnet", "resnet18"):
        raise ValueError(
            f"model: {name!r} needs images, {dataset.name} is a table; allowed: linear, mlp"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = MODELS[name](dataset.input_shape, dataset.num_classes, width)
    return nn.Sequential(Normalise(dataset.public.inputs), *layers).eval()


def state_of(net: nn.Module) -> State:
    """A copy of the parameters and buffers of a model."""
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in net.state_dict().items()
    }


def logits(net: nn.Module, state: State, inputs: Tensor) -> Tensor:
    """The logits of `net` with this state, (n, classes); differentiable in the state and in the
    inputs.
    """
    output: Tensor = torch.func.functional_call(net, dict(state), (inputs,))
    return output


def predictor(net: nn.Module, state: State) -> Predict:
    """The service: inputs -> class probabilities, of `net` with this state."""
    return lambda inputs: logits(net, state, inputs).softmax(1)
