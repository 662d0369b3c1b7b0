"""What a net is made of, whatever its layers are called and in whatever order they are defined."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from uninv_lib.anatomy import anatomy_of, anatomy_of_view
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.adaptive.pruning import unmask
from uninv_lib.attacks.features import analytic
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.layerwise import split_of
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.defenses.pruning import pruning
from uninv_lib.models import logits, state_of
from uninv_lib.training import step
from uninv_lib.types import Split, Trained, WhiteBoxView

SHAPE = (1, 8, 8)


class Backwards(nn.Module):
    """Two linear layers, the last defined first, behind a ReLU that is no layer."""

    def __init__(self):
        super().__init__()
        self.out, self.hidden = nn.Linear(32, 10), nn.Linear(64, 32)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(self.before(x).flatten(1))))

    def before(self, x):
        return x


class Shifted(Backwards):
    """The same behind a normalisation that is no layer."""

    def before(self, x):
        return 4 * (x - 0.3)


class Scaled(nn.Module):
    """A normalisation whose buffers have other names, and stand in another order."""

    def __init__(self):
        super().__init__()
        self.register_buffer("width", torch.full((1, 1, 1), 0.3))
        self.register_buffer("centre", torch.full((1, 1, 1), 0.4))

    def forward(self, x):
        return (x - self.centre) / self.width


class Block(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 3, stride, 1)
        self.two = nn.Conv2d(channels, channels, 3, 1, 1)
        self.way = nn.Conv2d(channels, channels, 1, stride)

    def forward(self, x):
        return torch.relu(self.two(torch.relu(self.one(x))) + self.way(x))


class Residual(nn.Module):
    """A residual net with none of torchvision's names, its blocks in a list."""

    def __init__(self):
        super().__init__()
        self.answer = nn.Linear(4, 10)
        self.blocks = nn.ModuleList([Block(4, 1), Block(4, 2)])
        self.stem = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        x = nn.functional.adaptive_avg_pool2d(x, 1)
        return self.answer(x.view(x.size(0), -1))


class Twice(nn.Module):
    """What stands in front is needed again behind: it cannot be cut."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x):
        x = x.flatten(1)
        return self.second(self.first(x) + x)


def built(kind):
    torch.manual_seed(0)
    return kind().double().eval()


def seen(net, count=1, shape=SHAPE):
    """(the view after one step of gradient ascent, what was forgotten)"""
    rng = torch.Generator().manual_seed(1)
    inputs = torch.rand(count, *shape, generator=rng, dtype=torch.double)
    forget, before = Split(inputs, torch.arange(count)), state_of(net)
    after = step(net, before, forget, -1e-3)
    return WhiteBoxView(net, before, after, shape, count), forget


def bare():
    return nn.Linear(64, 10)


def first_three():
    return nn.Sequential(Scaled(), nn.Flatten(), bare())


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        (Backwards, ("hidden", "out")),
        (Residual, ("stem", "blocks.0.one", "blocks.0.two", "blocks.0.way", "blocks.1.one")),
        (first_three, ("2",)),
    ],
)
def test_layers_come_in_the_order_of_their_calls(kind, layers):
    found = anatomy_of(built(kind), SHAPE)
    assert found.layers[: len(layers)] == layers
    assert found.classifier == found.layers[-1]
    assert found.head == (f"{found.classifier}.weight", f"{found.classifier}.bias")


def test_a_bare_layer_is_a_net():
    found = anatomy_of(built(bare), (64,))
    assert (found.layers, found.classifier, found.head) == (("",), "", ("weight", "bias"))


@pytest.mark.parametrize(
    ("kind", "mean", "scale"), [(Backwards, 0, 1), (Shifted, 0.3, 0.25), (first_three, 0.4, 0.3)]
)
def test_the_normalisation_is_found_by_what_it_does(kind, mean, scale):
    found = anatomy_of(built(kind), SHAPE).affine()
    for tensor, value in zip(found, (mean, scale), strict=True):
        assert torch.allclose(tensor, torch.tensor(value, dtype=torch.double))
        assert tensor.shape == SHAPE


def test_the_normalisation_is_that_of_the_state_and_not_of_the_net():
    net = built(first_three)
    state = {**net.state_dict(), "0.centre": torch.full((1, 1, 1), 0.7, dtype=torch.double)}
    assert anatomy_of(net, SHAPE, state).affine()[0].unique().item() == 0.7


@pytest.mark.parametrize("layer", [nn.Sigmoid(), nn.AvgPool2d(2), nn.Softmax(-1)])
def test_what_is_no_normalisation_is_not_undone(layer):
    net = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(10))
    net(torch.zeros(1, *SHAPE))
    found = anatomy_of(net.double(), SHAPE)
    assert found.normalisation is None
    view, _ = seen(net)
    assert not analytic.applies(inspect_view(view))
    with pytest.raises(ValueError, match=r"net: .*; allowed: a net that begins so"):
        found.affine()


@pytest.mark.parametrize("forgotten", [1, 2])
@pytest.mark.parametrize("kind", [Backwards, Shifted, first_three])
def test_the_closed_form_needs_no_names(kind, forgotten, rng):
    view, forget = seen(built(kind), forgotten)
    assert anatomy_of_view(view).dense
    found = recover_features(replace(view, labels=forget.labels), rng=rng, attack="analytic")
    away = (found.inputs[:, None] - forget.inputs).abs().flatten(2).amax(2)
    assert away.amin(0).max() < (1e-4 if forgotten == 1 else 0.1)


@pytest.mark.parametrize("kind", [nn.GELU, nn.Identity])
def test_several_samples_are_not_followed_through_what_is_no_relu(kind):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), kind(), nn.Linear(32, 10))
    view, _ = seen(net.double(), 2)
    assert not analytic.applies(inspect_view(view))
    assert analytic.applies(inspect_view(replace(view, num_forgotten=1)))


@pytest.mark.parametrize("kind", [Residual, Backwards, Twice, first_three, bare])
def test_a_sequence_gives_what_the_net_gives(kind):
    net, shape = built(kind), (64,) if kind is bare else SHAPE
    state, inputs = state_of(net), torch.rand(3, *shape, dtype=torch.double)
    opened, names = in_sequence(anatomy_of(net, shape), state)
    renamed = {name: state[old] for name, old in names.items()}
    assert set(renamed) == set(opened.net.state_dict())
    assert torch.allclose(logits(opened.net, renamed, inputs), logits(net, state, inputs))
    assert torch.equal(renamed[opened.head[0]], state[anatomy_of(net, shape).head[0]])
    assert isinstance(opened.net, nn.Sequential) == (kind not in (Twice, bare))


def test_a_layer_that_runs_twice_runs_twice_in_the_sequence():
    shared = nn.ReLU()
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), shared, nn.Linear(64, 10), shared)
    state, inputs = state_of(net), torch.rand(3, *SHAPE)
    opened, _ = in_sequence(anatomy_of(net, SHAPE), state)
    assert torch.equal(opened.net(inputs), net(inputs))


def test_a_residual_net_is_cut_before_its_last_stride_and_attacked(rng):
    view, forget = seen(built(Residual))
    opened, _ = in_sequence(anatomy_of_view(view), view.before)
    front = opened.net[: split_of(opened.net)]
    assert sum(isinstance(layer, Block) for layer in front) == 1
    found = recover_features(view, rng=rng, iterations=5)
    assert torch.equal(found.labels, forget.labels)
    assert found.inputs.isfinite().all()


@pytest.mark.parametrize("kind", [bare, Backwards])
def test_pruning_is_undone_in_nets_of_any_names(kind):
    net = built(kind)
    view, forget = seen(net, shape=(64,) if kind is bare else SHAPE)
    trained = Trained(net=net, pretrained=view.before, state=view.before)
    pruned = pruning(view.after, trained, forget, rng=torch.Generator(), strength=0.5)
    weight = anatomy_of_view(view).head[0]
    told = (pruned[weight] != 0).any(0)
    found = unmask(replace(view, after=pruned)).after
    moved = (view.after[weight] - view.before[weight])[:, told]
    assert (pruned[weight] == 0).any()
    assert ((found[weight] - view.before[weight])[:, told] - moved).norm() < 1e-6 * moved.norm()


def test_a_net_that_gives_no_tensor_is_an_error():
    class Pair(Backwards):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(ValueError, match="net: gives a tuple; allowed: logits, a tensor"):
        anatomy_of(Pair(), SHAPE)
