from dataclasses import replace

import pytest
import torch
from torch import nn

from uninv_lib import metrics
from uninv_lib.anatomy import anatomy_of_view
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.features.patches import Patches, patches_of
from uninv_lib.models import state_of
from uninv_lib.training import step
from uninv_lib.types import Split, WhiteBoxView

SIDE, PATCH, WIDTH = 12, 4, 24


class Embedded(nn.Module):
    """Attention over patches, embedded by a convolution or a linear layer, the class token first,
    last or absent.
    """

    def __init__(self, conv=True, token="first", bias=True, position=True, scale=False):
        super().__init__()
        count = (SIDE // PATCH) ** 2
        self.token, self.scale = token, scale
        self.conv = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=bias) if conv else None
        self.linear = None if conv else nn.Linear(3 * PATCH**2, WIDTH, bias=bias)
        self.own = None if token == "absent" else nn.Parameter(0.1 * torch.randn(1, 1, WIDTH))
        self.position = nn.Parameter(
            0.1 * torch.randn(1, count + (token != "absent"), WIDTH), requires_grad=position
        )
        self.attend = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        if self.scale:
            x = (x - 0.4) / 0.2
        if self.conv is not None:
            x = self.conv(x).flatten(2).mT
        else:  # columns of patches, the colours last
            x = x.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH)).permute(0, 4, 2, 3, 5, 1)
            x = self.linear(x.flatten(1, 2).flatten(2))
        if self.own is not None:
            own = self.own.expand(len(x), -1, -1)
            x = torch.cat([own, x] if self.token == "first" else [x, own], 1)
        x = x + self.position
        x = x + self.attend(x, x, x, need_weights=False)[0]
        return self.head(x.square().mean(1))


@pytest.fixture
def person(rng):
    return Split(torch.rand(1, 3, SIDE, SIDE, generator=rng), torch.tensor([2]))


def _view(net, forget):
    before = state_of(net)
    after = step(net, before, forget, -1e-2)
    return WhiteBoxView(net, before, after, (3, SIDE, SIDE), len(forget))


KINDS = {
    "convolution, class token first": {},
    "linear, class token last": {"conv": False, "token": "last"},
    "linear, no token, normalised": {"conv": False, "token": "absent", "scale": True},
    "convolution without bias": {"bias": False},
}


@pytest.mark.parametrize("attack", ["analytic", "fast", "best"])
@pytest.mark.parametrize("kind", KINDS)
def test_patches_are_read_off_the_update_of_their_positions(kind, attack, person, rng):
    torch.manual_seed(1)
    found = recover_features(_view(Embedded(**KINDS[kind]), person), rng=rng, attack=attack)
    assert metrics.psnr(found.inputs, person.inputs).item() > 35
    assert torch.equal(found.labels, person.labels)
    assert "apart" not in " ".join(found.remarks)


def test_a_step_that_is_no_gradient_at_the_positions_is_no_case(person):
    torch.manual_seed(1)
    view = _view(Embedded(), person)
    assert patches_of(view, anatomy_of_view(view)) is not None
    signs = {n: t + 1e-3 * (t - view.before[n]).sign() for n, t in view.after.items()}
    frozen = {**view.after, "position": view.before["position"]}
    for after in (signs, frozen):
        assert patches_of(replace(view, after=after), anatomy_of_view(view)) is None
    assert patches_of(replace(view, num_forgotten=2), anatomy_of_view(view)) is None


def test_what_the_update_does_not_tell_of_the_patches_is_grey(rng):
    pixels = torch.arange(9 * 48).reshape(9, 48)
    truth = torch.rand(9, 48, generator=rng).double()
    errors = torch.randn(9, WIDTH, generator=rng).double()
    errors[3:] = 0
    one = torch.ones(9, 48, dtype=torch.double)
    found, told = Patches(errors, errors.T @ truth, 0 * one, one, pixels, 1e-12).solved()
    assert told == pytest.approx(3, abs=0.01)
    found = found.reshape(9, 48)
    assert (found[:3] - truth[:3]).abs().max() < 1e-3
    assert torch.allclose(found[3:], one[3:] / 2)


@pytest.mark.slow
def test_vit_of_torchvision_gives_its_picture(rng):
    from uninv_lib.support.torchvision import import_torchvision

    torch.manual_seed(0)
    net = (
        import_torchvision("models")
        .VisionTransformer(
            image_size=32, patch_size=8, num_layers=1, num_heads=2, hidden_dim=32, mlp_dim=32
        )
        .eval()
    )
    nn.init.normal_(net.heads.head.weight, std=0.1)  # zero as torchvision makes it
    forget = Split(torch.rand(1, 3, 32, 32, generator=rng), torch.tensor([7]))
    before = state_of(net)
    view = WhiteBoxView(net, before, step(net, before, forget, -1e-2), (3, 32, 32), 1)
    found = recover_features(view, rng=rng)
    assert metrics.psnr(found.inputs, forget.inputs).item() > 30
