"""What rounding leaves of an update, and which layers moved."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from uninv_lib.anatomy import features_of
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.inspection.rounding import format_of, moved, noise_of, spacing
from uninv_lib.attacks.search.target import target_of
from uninv_lib.types import WhiteBoxView

HALVES = [torch.float16, torch.bfloat16]


@pytest.fixture
def net():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def person():
    return torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def view_of(net, person, *, rate=1e-2, kept=None, only=(), dtype=torch.float32):
    """One step of ascent; both states kept in this type."""
    net = net.to(dtype)
    before = {name: t.detach().clone() for name, t in net.state_dict().items()}
    loss = cross_entropy(net(person.to(dtype)), torch.tensor([1]))
    named = dict(net.named_parameters())
    slopes = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
    after = {
        name: t + rate * slopes[name] if not only or name in only else t.clone()
        for name, t in before.items()
    }
    if kept is not None:
        before, after = ({n: t.to(kept) for n, t in s.items()} for s in (before, after))
    return WhiteBoxView(net, before, after, (1, 8, 8), 1)


@pytest.mark.parametrize("kept", [*HALVES, torch.float32, torch.float64])
def test_the_format_of_numbers_is_told_by_their_values(kept):
    values = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert format_of(values.to(kept).double()) == kept
    assert format_of(values.to(kept)) == kept


@pytest.mark.parametrize("kept", HALVES)
def test_the_spacing_is_the_distance_to_the_next_number(kept):
    values = torch.tensor([1e-3, 0.3, 0.5, 1.0, 7.0]).to(kept)
    following = torch.nextafter(values.float(), torch.tensor(torch.inf))
    step = spacing(values.float(), kept)
    assert torch.equal((values.float() + step).to(kept).float(), values.float() + step)
    assert torch.equal((values.float() + step / 4).to(kept), values)
    assert (following < values.float() + step).all()


@pytest.mark.parametrize("kept", HALVES)
def test_the_noise_is_what_rounding_makes_of_two_models(kept):
    rng = torch.Generator().manual_seed(0)
    first = 1 + 0.8 * torch.rand(20_000, generator=rng)
    second = first + 0.1 * torch.rand(20_000, generator=rng)
    error = (second.to(kept).float() - first.to(kept).float()) - (second - first)
    expected = noise_of(first.to(kept).float(), second.to(kept).float())
    assert error.std().item() == pytest.approx(expected.mean().item(), rel=0.05)


@pytest.mark.parametrize("kept", HALVES)
def test_half_states_are_computed_in_float32(net, person, kept, rng):
    view = view_of(net, person, kept=kept)
    request = inspect_view(view)
    assert all(t.dtype == torch.float32 for t in request.view.before.values())
    assert any("computes in float32" in remark for remark in request.remarks)
    found = recover_features(view, rng=rng, iterations=20)
    assert found.inputs.dtype == torch.float32
    assert found.labels.tolist() == [1]


def test_a_net_that_is_half_itself_is_not_touched(net, person):
    view = view_of(net, person, kept=torch.bfloat16)
    view.net.bfloat16()
    request = inspect_view(view)
    assert next(request.view.net.parameters()).dtype == torch.float32
    assert next(view.net.parameters()).dtype == torch.bfloat16


def test_float32_tensors_that_hold_halves_are_told_by_their_values(net, person):
    view = view_of(net, person, kept=torch.float16)
    wide = [{n: t.float() for n, t in s.items()} for s in (view.before, view.after)]
    wide = WhiteBoxView(net, *wide, (1, 8, 8), 1)
    first, second = inspect_view(view), inspect_view(wide)
    assert all(torch.equal(first.noise[name], t) for name, t in second.noise.items())


def test_a_drowned_update_says_so_and_what_did_not_move_weighs_nothing(net, person):
    request = inspect_view(view_of(net, person, rate=1e-3, kept=torch.bfloat16))
    assert any("drowned in rounding" in remark for remark in request.remarks)
    goal = target_of(request, error_known=True).goals
    for name, weight in goal.weights.items():
        assert ((weight == 1) | (goal.update[name] == 0)).all()
    assert any((weight == 0).any() for weight in goal.weights.values())


def test_entries_that_weigh_nothing_do_not_change_a_cost(net, person):
    request = inspect_view(view_of(net, person, rate=1e-3, kept=torch.bfloat16))
    goal = target_of(request, error_known=True).goals
    slopes = [t + 1 for t in goal.update.values()]
    other = [s + 5 * (1 - w) for s, w in zip(slopes, goal.weights.values(), strict=True)]
    measured = [goal.away(goal.known.measure, part, goal.update) for part in (slopes, other)]
    assert torch.equal(*measured)
    assert not torch.equal(*(goal.known.measure(p, goal.updates()) for p in (slopes, other)))


def test_float32_counts_alike_and_says_nothing(net, person):
    request = inspect_view(view_of(net, person))
    assert request.weights is None
    assert request.signs is None
    assert request.remarks == ()


def test_an_update_below_float32_is_told_from_a_search_that_failed(net, person):
    remarks = inspect_view(view_of(net, person, rate=1e-9)).remarks
    assert any("nothing is left to find" in remark for remark in remarks)


def test_layers_that_moved_stand_beside_their_size_and_their_rounding(net, person):
    request = inspect_view(view_of(net, person, only=("3.weight", "3.bias")))
    (only,) = moved(request.view.before, request.view.after, request.noise)
    assert only.name == "3"
    assert 0 < only.relative < 0.1
    assert only.above > 100
    assert any("only '3' moved" in remark for remark in request.remarks)


def test_features_are_exact_where_only_the_last_layer_moved(net, person, rng):
    view = view_of(net, person, only=("3.weight", "3.bias"), dtype=torch.float64)
    found = recover_features(view, rng=rng, iterations=5)
    true = features_of(net, view.before, "3", person.double())
    assert (found.features - true).abs().max() < 1e-10
    assert found.labels.tolist() == [1]


def test_rows_that_rounding_emptied_of_all_but_scattered_entries_give_a_picture_of_numbers():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
    before = {name: t.detach().clone() for name, t in net.state_dict().items()}
    after = {name: t.clone() for name, t in before.items()}
    after["1.weight"][0, :3] += 1e-3  # a row whose bias was rounded away
    after["1.bias"][1] += 1e-6  # and a bias whose row was
    view = WhiteBoxView(net, before, after, (1, 8, 8), 1)
    found = recover_features(view, rng=torch.Generator().manual_seed(0))
    assert found.inputs.isfinite().all()
