"""Nets as users bring them: the picture comes back, or an error or a remark says why not.

A net is a line of NETS: how it is made, and what must come. That is a number, by how many dB the
picture is better than the mean of its class (labels right, no doubt), or a text that the error or
a remark holds. How unlearning changed it may be said too, see `Case`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from uninv_lib import load, metrics
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.baselines import class_mean
from uninv_lib.models import state_of
from uninv_lib.types import Reconstruction, Split, WhiteBoxView

SHAPE, CLASSES, RATE = (1, 8, 8), 10, 1e-2


def stepped(net: nn.Module, forget: Split, moved: str | tuple[str, ...] = "") -> WhiteBoxView:
    """One step of gradient ascent by plain autograd, on the parameters whose names begin so."""
    before = state_of(net)
    loss = functional.cross_entropy(net(forget.inputs), forget.labels)
    named = [(n, p) for n, p in net.named_parameters() if n.startswith(moved)]
    slopes = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    step = {n: RATE * s for (n, _), s in zip(named, slopes, strict=True) if s is not None}
    after = {n: t + step[n] if n in step else t for n, t in before.items()}
    return WhiteBoxView(net, before, after, SHAPE, len(forget))


def only(moved: str | tuple[str, ...]) -> Callable[[nn.Module, Split], WhiteBoxView]:
    """The step where the other parameters are frozen."""
    return lambda net, forget: stepped(net, forget, moved)


def unchanged(net: nn.Module, forget: Split) -> WhiteBoxView:
    """No step at all."""
    return WhiteBoxView(net, state_of(net), state_of(net), SHAPE, len(forget))


def labelled(net: nn.Module, forget: Split) -> WhiteBoxView:
    """The step where the labels are known."""
    return replace(stepped(net, forget), labels=forget.labels)


def in_train(net: nn.Module, forget: Split) -> WhiteBoxView:
    """The step in train(), which also moves running statistics; the net is passed so."""
    view = stepped(copy.deepcopy(net).train(), forget)
    moved = copy.deepcopy(net).train()
    moved(forget.inputs)
    return replace(
        view,
        net=net.train(),
        before=state_of(net),
        after={**view.after, **dict(moved.named_buffers())},
    )


@dataclass(frozen=True)
class Case:
    """expected: dB above the mean of the class, or what the error or a remark says; view: what
    unlearning made of the net; count: samples to forget; iterations: of the search; slow: for more
    than a second or two.
    """

    build: Callable[[], nn.Module]
    expected: float | str
    view: Callable[[nn.Module, Split], WhiteBoxView] = stepped
    count: int = 1
    iterations: int = 60
    slow: bool = False


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(relu(self.second(self.pool(relu(self.first(x))))).flatten(1))


class Functional(nn.Module):
    """No layers: parameters alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Parameter(torch.randn(8, 1, 3, 3) / 3)
        self.weight = nn.Parameter(torch.randn(512, CLASSES) / 20)
        self.bias = nn.Parameter(torch.zeros(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.elu(functional.conv2d(x, self.conv, padding=1))
        return x.flatten(1) @ self.weight + self.bias


class Unbiased(Functional):
    """The same without a bias on its logits."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - self.bias + x.mean()


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Tied(nn.Module):
    """A linear layer called twice, or one whose weight embeds as well."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self.first = nn.Linear(64, 24)
        self.shared, self.last = nn.Linear(24, 24), nn.Linear(24, CLASSES)
        self.twice = twice

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.first(x.flatten(1)).tanh()).tanh()
        if self.twice:
            return self.last(self.shared(x).tanh())
        return self.last(x) + (x @ self.last.weight.T).tanh()


class Attending(nn.Module):
    """Attention over rows of the picture, no positions."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.embed, self.layer, self.last = nn.Linear(8, 16), layer, nn.Linear(128, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.flatten(1, 2))
        attends = isinstance(self.layer, nn.MultiheadAttention)
        x = x + self.layer(x, x, x, need_weights=False)[0] if attends else self.layer(x)
        return self.last((x[0] if isinstance(x, tuple) else x).flatten(1))


class Vision(nn.Module):
    """Patches with positions, a class token, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.token = nn.Conv2d(1, 16, 2, 2), nn.Parameter(torch.zeros(1, 1, 16))
        self.position = nn.Parameter(0.1 * torch.randn(1, 17, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, 0, batch_first=True, norm_first=True)
        self.norm, self.last = nn.LayerNorm(16), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.last(self.norm(self.layer(x))[:, 0])


class Mixer(nn.Module):
    """Linear over patches in turn with linear over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.across = nn.Conv2d(1, 16, 2, 2), nn.Linear(16, 16)
        self.along, self.last = nn.Linear(16, 16), nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2)
        x = x + functional.gelu(self.across(x))
        return self.last((x.mT + functional.gelu(self.along(x.mT))).flatten(1))


def act(layer: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(*conv(1, 8), layer(), *conv(8, 8), layer(), *ending(512))


def normed(norm: nn.Module) -> nn.Module:
    return nn.Sequential(*conv(1, 8), norm, nn.Tanh(), *conv(8, 8), nn.Tanh(), *ending(512))


def between(*layers: nn.Module, width: int = 512) -> nn.Sequential:
    """These layers behind a first convolution."""
    return nn.Sequential(*conv(1, 8), nn.Tanh(), *layers, *ending(width))


def conv(given: int, made: int, **options: object) -> list[nn.Module]:
    return [nn.Conv2d(given, made, 3, padding=1, **options)]


def ending(width: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(width, CLASSES)]


def dense(*wrapped: Callable[[nn.Module], nn.Module]) -> nn.Module:
    first, last = nn.Linear(64, 32), nn.Linear(32, CLASSES)
    for wrap in wrapped:
        first, last = wrap(first), wrap(last)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)


def pooled(*clipped: nn.Module) -> nn.Module:
    """A convolution that makes the logits, its positions averaged."""
    body = [*conv(1, 8), nn.Tanh(), *conv(8, 16), nn.Tanh(), nn.Conv2d(16, CLASSES, 1)]
    return nn.Sequential(*body, *clipped, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def convnext() -> nn.Module:
    block = [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GroupNorm(1, 8), nn.Conv2d(8, 16, 1)]
    return between(Residual(nn.Sequential(*block, nn.GELU(), nn.Conv2d(16, 8, 1))))


def recurrent(kind: type[nn.Module]) -> nn.Module:
    return Attending(kind(16, 16, batch_first=True))


NETS = {
    "plain module": Case(Plain, 5),
    "parameters alone": Case(Functional, 5),
    "parameters alone, no bias": Case(Unbiased, "no parameter's update is the output error"),
    "parameters alone, no bias, labels known": Case(
        Unbiased, "by the angle of the update alone", labelled
    ),
    "nested": Case(lambda: nn.Sequential(nn.Sequential(nn.Sequential(Plain()))), 5),
    "mlp": Case(dense, 20),
    "mlp, no bias": Case(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False)), 5),
    "mlp, weight norm": Case(lambda: dense(weight_norm), 5, iterations=200),
    "mlp, spectral norm": Case(lambda: dense(spectral_norm), 5),
    "mlp, several": Case(dense, 5, count=3),
    "a layer twice": Case(lambda: Tied(twice=True), 20),
    "head used elsewhere": Case(lambda: Tied(twice=False), 20),
    "GELU": Case(lambda: act(nn.GELU), 5),
    "SiLU": Case(lambda: act(nn.SiLU), 5),
    "ELU": Case(lambda: act(nn.ELU), 5),
    "hardswish": Case(lambda: act(nn.Hardswish), 5),
    "hardsigmoid": Case(lambda: act(nn.Hardsigmoid), 5),
    "PReLU": Case(lambda: act(nn.PReLU), 5),
    "GroupNorm": Case(lambda: normed(nn.GroupNorm(2, 8)), 5),
    "LayerNorm": Case(lambda: normed(nn.LayerNorm((8, 8, 8))), 5),
    "InstanceNorm": Case(lambda: normed(nn.InstanceNorm2d(8, affine=True)), 5),
    "BatchNorm in eval": Case(lambda: normed(nn.BatchNorm2d(8)), 5),
    "BatchNorm in train": Case(
        lambda: normed(nn.BatchNorm2d(8)), "tell the forgotten samples' mean", in_train
    ),
    "dropout last": Case(lambda: between(nn.Dropout()), "dropped is read off", in_train),
    "dropout inside": Case(
        lambda: between(nn.Dropout(), nn.Conv2d(8, 8, 1)), "drew at random in train()", in_train
    ),
    "residual": Case(lambda: between(Residual(nn.Sequential(*conv(8, 8), nn.Tanh()))), 5),
    "ConvNeXt": Case(convnext, 5),
    "depthwise": Case(lambda: between(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Tanh()), 5),
    "dilated": Case(lambda: between(nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.Tanh()), 5),
    "transposed": Case(lambda: between(nn.ConvTranspose2d(8, 4, 2, 2), width=1024), 5),
    "strided": Case(lambda: between(nn.Conv2d(8, 16, 3, 2, 1), nn.Tanh(), width=256), 5),
    "average pooling": Case(lambda: between(nn.AvgPool2d(2), width=128), 5),
    "adaptive pooling": Case(lambda: between(nn.AdaptiveAvgPool2d(4), width=128), 5),
    "upsampled": Case(lambda: between(nn.Upsample(scale_factor=2), width=2048), 5),
    "rows, convolved": Case(
        lambda: nn.Sequential(nn.Flatten(1, 2), nn.Conv1d(8, 16, 3), nn.Tanh(), *ending(96)), 5
    ),
    "global pooling": Case(
        lambda: between(*conv(8, 8), nn.Tanh(), nn.AdaptiveAvgPool2d(1), width=8), "is in doubt"
    ),
    "convolution as classifier": Case(lambda: between(nn.Conv2d(8, 10, 8), nn.Flatten())[:-2], 5),
    "its positions averaged": Case(pooled, "is in doubt"),
    "clipped convolution": Case(
        lambda: pooled(nn.ReLU()), "no parameter's update is the output error"
    ),
    "attention": Case(lambda: Attending(nn.MultiheadAttention(16, 2, batch_first=True)), 5),
    "encoder": Case(
        lambda: Attending(nn.TransformerEncoderLayer(16, 2, 32, 0, batch_first=True)), 5
    ),
    "LSTM": Case(lambda: recurrent(nn.LSTM), 5),
    "GRU": Case(lambda: recurrent(nn.GRU), 5),
    "vision transformer": Case(Vision, 3),
    "mixer": Case(Mixer, 5),
    "frozen first layer": Case(Plain, "2 of 3 layers moved", only(("second", "last"))),
    "last layer only": Case(lambda: act(nn.GELU), "only '5' moved", only("5")),
    "nothing moved": Case(Plain, "nothing to invert", unchanged),
}


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def _recovered(view: WhiteBoxView, case: Case) -> Reconstruction:
    rng = torch.Generator().manual_seed(0)
    return recover_features(view, rng=rng, iterations=case.iterations)


def _said(view: WhiteBoxView, case: Case) -> str:
    """The remarks, or the error."""
    try:
        return " ".join(_recovered(view, case).remarks)
    except ValueError as refused:
        return str(refused)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if NETS[n].slow else n for n in NETS]
)
def test_a_net_gives_the_picture_or_says_why_not(name, digits):
    case, forget = NETS[name], digits.private.take(torch.arange(NETS[name].count))
    torch.manual_seed(0)
    view = case.view(case.build().eval(), forget)
    if isinstance(case.expected, str):
        assert case.expected in _said(view, case)
        return
    found = _recovered(view, case)
    mean = class_mean(forget.labels, digits.public)
    inputs = metrics.match(found.inputs, forget.inputs)
    gain = metrics.psnr(inputs, forget.inputs) - metrics.psnr(mean, forget.inputs)
    assert gain.median() > case.expected
    assert found.labels.sort().values.equal(forget.labels.sort().values)
    assert "is in doubt" not in " ".join(found.remarks)
