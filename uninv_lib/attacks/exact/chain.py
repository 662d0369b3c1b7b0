"""A convolution net as its equations: blocks of convolution, ReLU and pooling, with the gradient
that one sample left in each (ours).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from uninv_lib.anatomy import both, within
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.attacks.search.update import forgotten_gradient
from uninv_lib.types import State

ALONE = 10.0
"""How far, in units of rounding, the last layer's update may be from that of a single sample."""


@dataclass(frozen=True)
class Block:
    """A convolution, its stride 1, with the BatchNorm behind it folded in, a ReLU, and a pooling of
    `pool` pixels, 1 for none.

    name: of the convolution in the net; weight: (out, in, k, k); bias: (out,); slopes: the sample's
    gradient in the weight; noise: the standard deviation of each of its entries, as rounding alone
    makes it. All are float64.
    """

    name: str
    weight: Tensor
    bias: Tensor
    slopes: Tensor
    noise: Tensor
    pool: int

    @property
    def padding(self) -> int:
        """Pixels, so that the convolution keeps the size."""
        return self.weight.shape[-1] // 2

    def linear(self, entered: Tensor) -> Tensor:
        """What stands in front of the ReLU, (n, out, height, width)."""
        return conv2d(entered, self.weight, self.bias, padding=self.padding)

    def given(self, linear: Tensor) -> Tensor:
        """What leaves the block, of `linear`."""
        active = linear.relu()
        return max_pool2d(active, self.pool) if self.pool > 1 else active


@dataclass(frozen=True)
class Chain:
    """mean, scale: of the normalisation, input_shape each; blocks: in their order; weight, bias: of
    the last, linear layer; errors: (classes,), softmax − onehot, of the sample; features:
    (features,), what it gave the last layer, 0 where that layer's update is; rate: by which the
    sample's gradient became the update. All are float64.
    """

    mean: Tensor
    scale: Tensor
    blocks: tuple[Block, ...]
    weight: Tensor
    bias: Tensor
    errors: Tensor
    features: Tensor
    rate: float

    def entered(self, inputs: Tensor) -> list[Tensor]:
        """What n inputs, in [0, 1], let enter each block, and, last, the linear layer."""
        reached = [(inputs - self.mean) / self.scale]
        for block in self.blocks:
            reached.append(block.given(block.linear(reached[-1])))
        return [*reached[:-1], reached[-1].flatten(1)]


def chain_of(request: Inspection) -> Chain | None:
    """The equations of one sample's request; None where the net is no such chain, its normalising
    layers do not stand still, or the last layer's update is not that of one sample by one step.
    """
    view = request.view
    plain = request.signs is None and request.weights is None and request.errors_told
    cross_entropy = view.loss in (None, "cross_entropy")
    if view.num_forgotten != 1 or not plain or not cross_entropy or request.drowned:
        return None
    if request.anatomy.normalisation is None or request.anatomy.last is None:
        return None
    update, state = forgotten_gradient(view)
    opened, names = in_sequence(request.anatomy, state)
    parts = _parts(opened.net)
    if parts is None:
        return None
    told = _Told(
        names,
        {name: state[old].double() for name, old in names.items()},
        {name: update[old].double() for name, old in names.items() if old in update},
        {name: request.noise[old].double() for name, old in names.items() if old in request.noise},
    )
    return told.chain(opened.affine(), parts, opened.linear)


_Part = tuple[str, str, nn.BatchNorm2d | None, int]
LETTERS = {nn.Conv2d: "C", nn.BatchNorm2d: "B", nn.ReLU: "R", nn.MaxPool2d: "P"}
LETTERS |= {nn.Flatten: "F", nn.Linear: "L"}


def _parts(net: nn.Module) -> list[_Part] | None:
    """Names of the convolution and its BatchNorm, that one, and the pooling of each block; None
    where there is anything else.
    """
    layers = [(name, layer) for name, layer in net._modules.items() if layer is not None]
    word = "".join(LETTERS.get(type(layer), "?") for _, layer in layers)
    learned = [bool(list(layer.parameters())) for _, layer in layers]
    start = word.find("C")
    if any(learned[:start]) or not re.fullmatch("(CB?RP?)+FL", word[start:]):
        return None
    found = list[_Part]()
    for name, layer in layers[start:-2]:
        if isinstance(layer, nn.Conv2d):
            found.append((name, "", None, 1))
        elif isinstance(layer, nn.BatchNorm2d):
            found[-1] = (found[-1][0], name, layer, 1)
        elif isinstance(layer, nn.MaxPool2d) and isinstance(layer.kernel_size, int):
            found[-1] = (*found[-1][:3], layer.kernel_size)
    kept = all(_keeps_size(m) for _, m in layers if isinstance(m, nn.Conv2d))
    plain = all(_plain(m) for _, m in layers if isinstance(m, nn.MaxPool2d))
    return found if kept and plain else None


def _keeps_size(conv: nn.Conv2d) -> bool:
    half = conv.kernel_size[0] // 2
    return (
        conv.kernel_size == (2 * half + 1, 2 * half + 1)
        and (conv.stride, conv.dilation, conv.groups) == ((1, 1), (1, 1), 1)
        and (conv.padding, conv.padding_mode) == ((half, half), "zeros")
    )


def _plain(pooling: nn.MaxPool2d) -> bool:
    form = pooling.padding, pooling.dilation, pooling.ceil_mode
    return pooling.stride == pooling.kernel_size and form == (0, 1, False)


@dataclass(frozen=True)
class _Told:
    """names: in the net, by those of the opened one; by these the state, its update and the noise
    of that, float64.
    """

    names: Mapping[str, str]
    state: State
    update: State
    noise: State

    def chain(self, affine: tuple[Tensor, Tensor], parts: list[_Part], last: str) -> Chain | None:
        weight, bias = both(last)
        learned = [both(name)[0] for name, *_ in parts] + [weight, bias]
        if not all(name in self.update and self.update[name].any() for name in learned):
            return None
        change, slopes = self.update[bias], self.update[weight]
        features = (slopes.T @ change) / change.square().sum()
        if (slopes - torch.outer(change, features)).norm() > ALONE * self.noise[weight].norm():
            return None
        features = features.clamp_min(0) * slopes.any(0)
        errors = (self.state[weight] @ features + self.state[bias]).softmax(0)
        errors[change.argmin()] -= 1
        rate = float(change @ errors / errors.square().sum())
        blocks = tuple(self._blocks(parts, rate))
        mean, scale = (part.double() for part in affine)
        head = self.state[weight], self.state[bias], change / rate, features
        return Chain(mean, scale, blocks, *head, rate)

    def _blocks(self, parts: list[_Part], rate: float) -> Iterator[Block]:
        for name, norm_name, norm, pool in parts:
            weight, bias = both(name)
            kernel = self.state[weight]
            scale, shift = self._affine(norm_name, norm, kernel)
            folded, none = scale.reshape(-1, 1, 1, 1), torch.zeros_like(scale)
            yield Block(
                self.names[weight].rpartition(".")[0],
                kernel * folded,
                self.state.get(bias, none) * scale + shift,
                self.update[weight] / folded / rate,
                (self.noise[weight] / folded / rate).abs(),
                pool,
            )

    def _affine(
        self, name: str, norm: nn.BatchNorm2d | None, kernel: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What a BatchNorm multiplies by and adds, a number a channel."""
        one = kernel.new_ones(len(kernel))
        if norm is None:
            return one, one * 0
        mean, variance = (self.state[within(name, n)] for n in ("running_mean", "running_var"))
        weight, bias = (
            self.state.get(n, d) for n, d in zip(both(name), (one, one * 0), strict=True)
        )
        scale = weight / (variance + norm.eps).sqrt()
        return scale, bias - mean * scale
