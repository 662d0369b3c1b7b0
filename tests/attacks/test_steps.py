"""The form of the step, and the gradient behind it."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, AdamW

from uninv_lib.anatomy import features_of
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.costs import dummy_gradient, sign_cost
from uninv_lib.attacks.search.known import ErrorsKnown
from uninv_lib.attacks.search.target import target_of
from uninv_lib.types import WhiteBoxView

SIGNS, OTHERS = "first step of Adam", "is not one step"


def confident(net, person):
    """Sure that it is none of some classes, as trained nets are: those have small gradients."""
    with torch.no_grad():
        net[-1].weight[3:] -= 10 / net[:-1](person).sum()
    return net


@pytest.fixture
def person():
    return torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def net(person):
    torch.manual_seed(0)
    front = nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    return confident(nn.Sequential(*front, nn.Linear(8 * 16, 6)).eval(), person)


def view_of(net, person, optimiser, *, steps=1, clip=None, retain=None):
    after = copy.deepcopy(net)
    chosen = optimiser(after.parameters())
    for _ in range(steps):
        chosen.zero_grad()
        loss = -cross_entropy(after(person), torch.tensor([1]))
        if retain is not None:
            loss = loss + cross_entropy(after(retain), torch.arange(len(retain)) % 6)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(after.parameters(), clip)
        chosen.step()
    states = ({n: t.detach().clone() for n, t in m.state_dict().items()} for m in (net, after))
    return WhiteBoxView(net, *states, tuple(person.shape[1:]), 1)


def sgd(**options):
    return lambda parameters: SGD(parameters, lr=1e-2, **options)


def said(request, words):
    return any(words in remark for remark in request.remarks)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_a_first_step_of_adam_is_known_and_tells_what_entered_the_last_layer(net, person, kind):
    view = view_of(net, person, lambda p: kind(p, lr=1e-3))
    request = inspect_view(view)
    assert said(request, SIGNS)
    target = target_of(request, error_known=True)
    true = features_of(net, view.before, "4", person)
    assert (target.goals.known.features[0] - true).norm() < 0.02 * true.norm()
    error = net(person).softmax(1)[0] - torch.eye(6)[1]
    assert isinstance(target.goals.known, ErrorsKnown)
    found = target.goals.known.errors[0, 0]
    assert torch.cosine_similarity(found, error, dim=0) > 0.999
    assert target.labels.tolist() == [[1]]


def test_a_step_of_adam_is_known_between_halves(net, person):
    view = view_of(net, person, lambda p: Adam(p, lr=1e-3))
    states = ({n: t.half() for n, t in state.items()} for state in (view.before, view.after))
    request = inspect_view(WhiteBoxView(net, *states, view.input_shape, 1))
    assert said(request, SIGNS)
    assert not said(request, "of itself")


def test_signs_alone_tell_the_label_and_cost_nothing_at_the_truth(net, person):
    request = inspect_view(view_of(net, person, lambda p: Adam(p, lr=1e-3, eps=1e-30)))
    assert not request.errors_told
    target = target_of(request, error_known=True)
    assert target.labels.tolist() == [[1]]
    label = torch.tensor([1])
    slopes = dummy_gradient(target.net, target.point, lambda z: cross_entropy(z, label), person)
    goal = [target.goals.signs[name][0] for name in target.goals.update]
    assert sign_cost(slopes, goal) < 1e-4
    assert sign_cost([-s for s in slopes], goal) > 1.9


def test_a_picture_is_read_off_adam_through_a_linear_model(rng, person):
    torch.manual_seed(0)
    model = confident(nn.Sequential(nn.Flatten(), nn.Linear(64, 6)), person)
    found = recover_features(view_of(model, person, lambda p: Adam(p, lr=1e-3)), rng=rng)
    assert (found.inputs - person).abs().max() < 0.05
    assert found.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("optimiser", "clip"), [(sgd(), None), (sgd(momentum=0.9), None), (sgd(), 0.1)]
)
def test_momentum_and_clipping_scale_a_first_step_alone(net, person, optimiser, clip):
    plain, other = view_of(net, person, sgd()), view_of(net, person, optimiser, clip=clip)
    request = inspect_view(other)
    assert request.remarks == ()
    updates = [target_of(inspect_view(v), error_known=True).goals.update for v in (plain, other)]
    for name, update in updates[0].items():
        assert torch.allclose(update, updates[1][name], atol=1e-3)


def test_decay_is_taken_off(net, person):
    plain, decayed = (view_of(net, person, sgd(weight_decay=c)) for c in (0, 1e-2))
    request = inspect_view(decayed)
    assert said(request, "-0.0001 of itself")
    updates = [target_of(inspect_view(v), error_known=True).goals.update for v in (plain, decayed)]
    for name, update in updates[0].items():
        assert torch.allclose(update, updates[1][name], atol=1e-4)
    assert not said(inspect_view(plain), "of itself")


def test_descent_on_retained_samples_beside_the_ascent_is_said(net, person):
    others = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    assert said(inspect_view(view_of(net, person, sgd(), retain=others)), OTHERS)
    assert not said(inspect_view(view_of(net, person, sgd())), OTHERS)


def test_the_step_may_be_an_assumption(net, person):
    view = view_of(net, person, lambda p: Adam(p, lr=1e-3))
    assert not said(inspect_view(replace(view, step="plain")), SIGNS)
    assert said(inspect_view(replace(view_of(net, person, sgd()), step="adam")), SIGNS)
    with pytest.raises(ValueError, match=r"view.step 'adan'; did you mean 'adam'"):
        inspect_view(replace(view, step="adan"))
