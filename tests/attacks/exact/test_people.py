"""Several people in one update, through a linear layer with a ReLU behind it."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from uninv_lib.anatomy import met
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.exact.labelled import people_at
from uninv_lib.attacks.features.linear_relu import recover_people
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.types import Reconstruction, WhiteBoxView

CLASSES, SHAPE = 4, (1, 6, 8)


def dense(*, width: int = 64, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    inputs = SHAPE[1] * SHAPE[2]
    layers = [nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def convolutions(seed: int = 0) -> nn.Sequential:
    """The shape of VGG: convolutions, and two fully connected layers with a ReLU between."""
    torch.manual_seed(seed)
    body = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(72, 64), nn.ReLU(), nn.Linear(64, CLASSES))


def people(count: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=rng)
    return torch.rand(count, *SHAPE, generator=rng), labels


def unlearned(
    net: nn.Module, inputs: Tensor, labels: Tensor, *, shares: Tensor | None = None
) -> WhiteBoxView:
    """One step up the loss, to which each sample gives its share."""
    net, inputs = copy.deepcopy(net), inputs.to(next(net.parameters()))
    after = copy.deepcopy(net)
    each = cross_entropy(after(inputs), labels, reduction="none")
    (each if shares is None else each * shares.to(each)).mean().backward()
    with torch.no_grad():
        for parameter in after.parameters():
            parameter += 1e-2 * parameter.grad
    return WhiteBoxView(net, net.state_dict(), after.state_dict(), SHAPE, len(inputs))


def away(found: Tensor, inputs: Tensor) -> Tensor:
    """How far each is from the nearest, the mean over its pixels."""
    distances = torch.cdist(found.flatten(1).double(), inputs.flatten(1).double())
    return distances.min(1).values / inputs[0].numel() ** 0.5


def found_in(view: WhiteBoxView) -> Reconstruction:
    found = recover_people(inspect_view(view))
    assert found is not None
    return found


@pytest.mark.parametrize("count", range(2, 7))
def test_everybody_is_recovered_with_the_label_also_more_than_classes(count: int) -> None:
    inputs, labels = people(count, seed=count)
    found = found_in(unlearned(dense(), inputs, labels))
    assert away(inputs, found.inputs).max() < 1e-3
    order = torch.cdist(found.inputs.flatten(1), inputs.flatten(1)).argmin(1)
    assert torch.equal(found.labels, labels[order])
    assert len(found.residuals) == count
    assert not found.remarks


@pytest.mark.parametrize("seed", range(3))
def test_in_float64_everybody_is_recovered_to_more_than_100_db_and_certified(seed: int) -> None:
    inputs, labels = people(8, seed)
    found = found_in(unlearned(dense().double(), inputs, labels))
    assert away(inputs.double(), found.inputs).max() < 1e-5
    assert found.certified == tuple(f"input {i}" for i in range(8))


def test_several_of_one_class_are_told_apart() -> None:
    inputs, labels = people(4, seed=1)
    found = found_in(unlearned(dense(), inputs, torch.zeros_like(labels)))
    assert away(inputs, found.inputs).max() < 1e-3
    assert not found.labels.any()


def test_who_drowned_in_rounding_is_reported_and_not_invented() -> None:
    inputs, labels = people(4, seed=2)
    shares = torch.tensor([1.0, 1.0, 1.0, 1e-9])
    found = found_in(unlearned(dense(), inputs, labels, shares=shares))
    assert away(inputs[:3], found.inputs).max() < 1e-3
    assert (found.inputs[3] == 0.5).all()
    assert found.labels[3] == -1
    assert "3 of 4 samples stand above rounding" in found.remarks[-1]


def test_the_same_sample_twice_is_one_sample() -> None:
    inputs, labels = people(1, seed=3)
    found = found_in(unlearned(dense(), inputs.repeat(3, 1, 1, 1), labels.repeat(3)))
    assert away(inputs, found.inputs[:1]).max() < 1e-3
    assert found.labels.tolist()[1:] == [-1, -1]
    assert "1 of 3" in found.remarks[-1]


def test_assumed_labels_are_given_to_those_who_are_not_found() -> None:
    inputs, labels = people(3, seed=4)
    view = unlearned(dense(), inputs, labels, shares=torch.tensor([1.0, 1e-9, 1.0]))
    found = found_in(replace(view, labels=labels))
    assert torch.equal(found.labels.sort().values, labels.sort().values)


def test_who_is_certified_is_right_also_where_rounding_is_coarse() -> None:
    certified = 0
    for seed in range(8):
        inputs, labels = people(5, seed)
        shares = 10 ** -torch.linspace(0, 5, 5)
        view = unlearned(dense(seed=seed), inputs, labels, shares=shares)
        found = recover_people(inspect_view(view))
        sure = [int(name.split()[1]) for name in found.certified] if found else []
        assert not sure or away(found.inputs[sure], inputs).max() < 0.03
        certified += len(sure)
    assert certified >= 8


def test_an_update_with_noise_has_nobody() -> None:
    inputs, labels = people(3, seed=5)
    view = unlearned(dense(), inputs, labels)
    noisy = {n: t + 1e-3 * torch.randn_like(t) for n, t in view.after.items()}
    assert recover_people(inspect_view(replace(view, after=noisy))) is None


@pytest.mark.parametrize("activation", [nn.Tanh, nn.GELU, nn.LeakyReLU])
def test_without_a_relu_there_is_no_such_closed_form(activation: type[nn.Module]) -> None:
    net, (inputs, labels) = dense(), people(2, seed=6)
    net[2] = activation()
    assert recover_people(inspect_view(unlearned(net, inputs, labels))) is None


@pytest.mark.parametrize("count", [2, 4])
def test_inside_a_convolution_net_the_features_of_each_are_exact(count: int) -> None:
    net, (inputs, labels) = convolutions(), people(count, seed=7)
    view = unlearned(net, inputs, labels)
    found = people_at(inspect_view(view), "4")
    assert found is not None
    assert found.people.above == len(found) == count
    entered = met(net, view.before, "4", inputs)[0].detach()
    assert away(entered, found.people.entered).max() < 1e-3 * entered.max()
    order = torch.cdist(found.people.entered, entered.double()).argmin(1)
    assert torch.equal(found.labels, labels[order])
    answers = net(inputs)[order].softmax(1).detach()
    errors = answers - nn.functional.one_hot(found.labels, CLASSES)
    assert torch.cosine_similarity(errors.double(), found.errors).min() > 0.999


@pytest.mark.slow
def test_a_search_is_told_them(rng: torch.Generator) -> None:
    net, (inputs, labels) = convolutions(), people(3, seed=8)
    found = recover_features(unlearned(net, inputs, labels), rng=rng, iterations=2)
    entered = met(net, net.state_dict(), "4", inputs)[0].detach()
    assert found.features is not None
    assert away(entered, found.features).max() < 0.01
    assert torch.equal(found.labels.sort().values, labels.sort().values)
