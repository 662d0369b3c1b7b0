import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from uninv_lib import metrics
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.inspection import Reading, inspect_view
from uninv_lib.attacks.inspection.batches import statistics_cost
from uninv_lib.attacks.inspection.modes import modes
from uninv_lib.attacks.search.costs import dummy_gradient
from uninv_lib.attacks.search.target import target_of
from uninv_lib.data import load
from uninv_lib.types import WhiteBoxView

SHAPE, CLASSES = (2, 6, 6), 4


class Fused(nn.BatchNorm2d):
    """With its activation, as some libraries have it."""

    def forward(self, values):
        return super().forward(values).relu()


def net_of(norm, *head, width=3):
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, width, 3), norm, nn.ReLU(), nn.Flatten(), *head]
    net = nn.Sequential(*layers, nn.Linear(width * 16, CLASSES)).double()
    for layer in net:
        if getattr(layer, "running_mean", None) is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return net.eval()


def forgotten(count):
    rng = torch.Generator().manual_seed(1)
    inputs = torch.rand(count, *SHAPE, generator=rng, dtype=torch.double)
    return inputs, torch.arange(count) % CLASSES


def unlearned(net, inputs, labels, *, train=True, steps=1, rate=1e-3):
    after = copy.deepcopy(net).train(train)
    for _ in range(steps):
        after.zero_grad()
        cross_entropy(after(inputs), labels).backward()
        with torch.no_grad():
            for parameter in after.parameters():
                if parameter.grad is not None:
                    parameter += rate * parameter.grad
    return after


def view_of(net, after, count):
    states = ({n: t.clone() for n, t in m.state_dict().items()} for m in (net, after))
    return WhiteBoxView(net, *states, SHAPE, count)


def moments(net, inputs):
    """The mean and the biased variance of what enters layer 1."""
    entered = net[0](inputs)
    mean = entered.mean((0, 2, 3))
    return mean, entered.var((0, 2, 3), unbiased=False)


NORMS = {
    "plain": nn.BatchNorm2d(3),
    "momentum": nn.BatchNorm2d(3, momentum=0.01),
    "cumulative": nn.BatchNorm2d(3, momentum=None),
    "bare": nn.BatchNorm2d(3, affine=False),
    "synchronised": nn.SyncBatchNorm(3),
    "fused": Fused(3),
    "instance": nn.InstanceNorm2d(3, track_running_stats=True, affine=True),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("norm", NORMS)
def test_running_statistics_tell_the_batch_and_its_gradient_exactly(norm, count):
    net, (inputs, labels) = net_of(copy.deepcopy(NORMS[norm])), forgotten(count)
    found = inspect_view(view_of(net, unlearned(net, inputs, labels), count)).view
    if norm != "instance" or count == 1:  # the mean over samples is no sample's own
        mean, variance = moments(net, inputs)
        torch.testing.assert_close(found.before["1.running_mean"], mean)
        torch.testing.assert_close(found.before["1.running_var"], variance)
        cost = statistics_cost(found.net, found.before, inputs)
        assert cost < 1e-9 < 0.1 < statistics_cost(found.net, found.before, 1 - inputs)
    trained = copy.deepcopy(net).train()
    cross_entropy(trained(inputs), labels).backward()

    def slopes(x):
        return dummy_gradient(found.net, found.before, lambda z: cross_entropy(z, labels), x)

    def some(x):
        return sum(slope.square().sum() for slope in slopes(x))

    for slope, parameter in zip(slopes(inputs), trained.parameters(), strict=True):
        torch.testing.assert_close(slope, parameter.grad)
    stacked = torch.func.vmap(slopes)(torch.stack([inputs, 1 - inputs]))
    torch.testing.assert_close(stacked[0][0], trained[0].weight.grad)
    assert torch.autograd.gradcheck(some, inputs.clone().requires_grad_(), fast_mode=True)


def test_rows_of_a_table_are_normalised_together():
    torch.manual_seed(0)
    layers = [nn.Linear(72, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, CLASSES)]
    net, (inputs, labels) = nn.Sequential(nn.Flatten(), *layers).double().eval(), forgotten(3)
    found = inspect_view(view_of(net, unlearned(net, inputs, labels), 3)).view
    entered = net[1](inputs.flatten(1))
    torch.testing.assert_close(found.before["2.running_mean"], entered.mean(0))
    torch.testing.assert_close(found.before["2.running_var"], entered.var(0, unbiased=False))
    with pytest.raises(ValueError, match="num_forgotten: 1; allowed: 2 or more, where '2'"):
        inspect_view(replace(view_of(net, unlearned(net, inputs, labels), 1)))


def test_the_users_net_and_states_stay_as_they_are():
    net, (inputs, labels) = net_of(nn.BatchNorm2d(3), nn.Dropout(0.5)), forgotten(1)
    net.train()
    view = view_of(net, unlearned(net, inputs, labels), 1)
    states, own = copy.deepcopy((view.before, view.after)), copy.deepcopy(net.state_dict())
    drawn = torch.get_rng_state()
    recover_features(view, rng=torch.Generator(), iterations=2)
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(layer.training for layer in net.modules())
    for first, second in zip(
        (view.before, view.after, net.state_dict()), (*states, own), strict=True
    ):
        assert all(torch.equal(first[name], second[name]) for name in second)


def test_a_net_in_train_whose_statistics_stood_was_in_eval():
    net, (inputs, labels) = net_of(nn.BatchNorm2d(3), nn.Dropout(0.5)), forgotten(1)
    after = unlearned(net, inputs, labels, train=False)
    found = [inspect_view(view_of(n, after, 1)) for n in (net, copy.deepcopy(net).train())]
    for reading in found:
        assert not reading.remarks
        assert not reading.obstacles
        assert not any(layer.training for layer in reading.view.net.modules())
        assert reading.view.before["1.running_mean"].equal(net[1].running_mean)
    targets = [target_of(reading, error_known=True) for reading in found]
    assert torch.equal(targets[0].goals.updates()[0], targets[1].goals.updates()[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_bias_in_front_of_a_normalisation_has_no_update_but_rounding(dtype):
    net, (inputs, labels) = net_of(nn.BatchNorm2d(3)), forgotten(1)
    view = view_of(net, unlearned(net, inputs, labels), 1)
    states = [{n: t.to(dtype) for n, t in s.items()} for s in (view.before, view.after)]
    states[1]["0.bias"] += 1e-2
    after = modes(Reading(view=replace(view, before=states[0], after=states[1]))).view.after
    assert torch.equal(after["0.bias"], states[0]["0.bias"])
    assert all(after[n] is states[1][n] for n, _ in net.named_parameters() if n != "0.bias")


def test_a_momentum_that_gives_negative_variances_is_found():
    net, (inputs, labels) = net_of(nn.BatchNorm2d(3, momentum=0.3)), forgotten(1)
    view = view_of(net, unlearned(net, inputs, labels), 1)
    net[1].momentum = 0.01
    found = inspect_view(view)
    assert "the momentum of '1' gives negative variances; taken: 0.3" in found.remarks[-1]
    torch.testing.assert_close(found.view.before["1.running_mean"], moments(net, inputs)[0])


def test_several_steps_in_train_are_counted():
    net, (inputs, labels) = net_of(nn.BatchNorm2d(3)), forgotten(2)
    found = inspect_view(view_of(net, unlearned(net, inputs, labels, steps=3), 2))
    assert "mixed over 3 steps" in found.remarks[0]
    assert found.view.unlearning_steps == 3
    mean, variance = moments(net, inputs)
    torch.testing.assert_close(found.view.before["1.running_mean"], mean, rtol=0, atol=1e-2)
    torch.testing.assert_close(found.view.before["1.running_var"], variance, rtol=0.02, atol=0)


def test_statistics_that_moved_without_a_step_are_no_batch():
    net, (inputs, labels) = net_of(nn.BatchNorm2d(3)), forgotten(1)
    after = unlearned(net, inputs, labels, train=False)
    after[1].running_mean += 1
    found = inspect_view(view_of(net, after, 1))
    assert "not by steps on the forgotten samples" in found.remarks[0]
    assert found.view.before["1.running_mean"].equal(net[1].running_mean)


def test_the_mask_of_dropout_in_front_of_a_linear_layer_is_read_exactly():
    net, (inputs, labels) = net_of(nn.GELU(), nn.Dropout(0.4)), forgotten(1)
    net.train()
    caught = []
    after = copy.deepcopy(net)
    after[4].register_forward_hook(lambda _, given, out: caught.append(out / given[0]))
    cross_entropy(after(inputs), labels).backward()
    with torch.no_grad():
        for parameter in after.parameters():
            parameter += 1e-3 * parameter.grad
    found = inspect_view(view_of(net, after, 1))
    assert found.remarks == ("net: what '4' (Dropout) dropped is read off the update of '5'",)
    kept = found.view.before["4.kept"]
    real = caught[0][0].isfinite() & (caught[0][0] != 0)
    assert torch.equal(kept != 0, real)
    torch.testing.assert_close(kept[real], torch.full_like(kept[real], 1 / 0.6))
    slopes = dummy_gradient(
        found.view.net, found.view.before, lambda z: cross_entropy(z, labels), inputs
    )
    for slope, parameter in zip(slopes, after.parameters(), strict=True):
        torch.testing.assert_close(slope, parameter.grad)


class Depth(nn.Module):
    """A block that is left out at times."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(48, 48)

    def forward(self, values):
        if self.training and torch.rand(()) < 0.5:
            return values
        return values + self.inner(values)


@pytest.mark.parametrize(
    ("layer", "count", "named"),
    [(nn.Dropout(0.5), 2, "'4' (Dropout)"), (Depth(), 1, "'4' (Depth)")],
    ids=["two samples", "depth"],
)
def test_a_layer_whose_draw_no_update_shows_is_refused_by_its_name(layer, count, named):
    net, (inputs, labels) = net_of(nn.ReLU(), layer), forgotten(count)
    view = view_of(net.train(), unlearned(net, inputs, labels), count)
    with pytest.raises(ValueError, match="drew at random in train") as raised:
        recover_features(view, rng=torch.Generator(), iterations=2)
    assert named in str(raised.value)
    net.eval()
    assert recover_features(view, rng=torch.Generator(), iterations=2).inputs.isfinite().all()


def test_dropout_behind_a_linear_first_layer_leaves_the_closed_form_exact():
    torch.manual_seed(0)
    layers = [nn.Linear(72, 9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 9), nn.Linear(9, CLASSES)]
    net, (inputs, labels) = nn.Sequential(nn.Flatten(), *layers).double().train(), forgotten(1)
    view = view_of(net, unlearned(net, inputs, labels), 1)
    found = recover_features(view, rng=torch.Generator())
    torch.testing.assert_close(found.inputs, inputs, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_digit_comes_back_from_a_step_in_train(rng):
    data = load("digits")
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten()]
    net = nn.Sequential(*layers, nn.Linear(12 * 64, 10)).train()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for batch in torch.randperm(len(data.public)).split(64):
        optimiser.zero_grad()
        cross_entropy(net(data.public.inputs[batch]), data.public.labels[batch]).backward()
        optimiser.step()
    forget, ratios = data.private.take(torch.tensor([0])), []
    after = unlearned(net.eval(), forget.inputs, forget.labels)
    view = replace(view_of(net, after, 1), input_shape=data.input_shape)
    unseen = {name: t for name, t in view.before.items() if "running" in name}
    for known in (view, replace(view, after={**view.after, **unseen})):
        found = recover_features(known, rng=rng, iterations=100)
        ratios.append(metrics.psnr(found.inputs, forget.inputs).item())
    assert ratios[0] > 25
    assert ratios[1] < ratios[0] - 5
