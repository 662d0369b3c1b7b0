"""What users bring: names, wrappers, outputs, losses and adapters are understood, and remarked."""

import copy
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, one_hot

from uninv_lib import inspect_net, load, metrics
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.baselines import class_mean
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.inspection.adapters import LowRank
from uninv_lib.models import state_of
from uninv_lib.types import WhiteBoxView

SHAPE, CLASSES = (1, 8, 8), 10


@pytest.fixture(scope="module")
def person():
    return load("digits").private.take(torch.tensor([3]))


def dense(outputs=CLASSES):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.GELU(), nn.Linear(40, outputs))


def ascended(net, person, loss=cross_entropy, moved="", **view):
    """The view of one plain step up the loss of net(inputs) and the labels."""
    after = copy.deepcopy(net)
    loss(after(person.inputs), person.labels).backward()
    with torch.no_grad():
        for name, parameter in after.named_parameters():
            if parameter.grad is not None and moved in name:
                parameter += 1e-2 * parameter.grad
    return WhiteBoxView(net, state_of(net), state_of(after), SHAPE, 1, **view)


def gain(found, person):
    mean = class_mean(person.labels, load("digits").public)
    return (metrics.psnr(found.inputs, person.inputs) - metrics.psnr(mean, person.inputs)).item()


def recovered(view):
    return recover_features(view, rng=torch.Generator().manual_seed(0), iterations=60)


# Names

WRITTEN = {
    "as they are": (lambda state: state, ""),
    "DataParallel": (lambda s: {f"module.{n}": t for n, t in s.items()}, "'module.' passed over"),
    "compiled": (lambda s: {f"_orig_mod.{n}": t for n, t in s.items()}, "'_orig_mod' passed over"),
    "both": (lambda s: {f"module._orig_mod.{n}": t for n, t in s.items()}, "passed over"),
    "a checkpoint": (lambda s: {"epoch": 3, "state_dict": s}, "its 'state_dict' is taken"),
    "one more": (lambda s: {**s, "ema": torch.zeros(2)}, "'ema' passed over, which the net"),
    "ordered": (OrderedDict, ""),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_names_are_brought_to_those_of_the_net(way, person):
    write, remark = WRITTEN[way]
    view = ascended(dense(), person)
    plain = inspect_view(view)
    read = inspect_view(WhiteBoxView(view.net, write(view.before), write(view.after), SHAPE, 1))
    assert all(torch.equal(t, read.view.after[n]) for n, t in plain.view.after.items())
    assert (remark in " ".join(read.remarks)) if remark else read.remarks == plain.remarks


def test_a_wrapped_net_is_unwrapped_and_left_as_it_is(person):
    view = ascended(dense(), person)
    wrapped = nn.DataParallel(view.net)
    read = inspect_view(WhiteBoxView(wrapped, view.before, view.after, SHAPE, 1))
    assert read.anatomy.last == "3"
    assert isinstance(wrapped, nn.DataParallel)


def test_what_a_file_lacks_is_taken_from_the_other_and_said(person):
    view = ascended(dense(), person, moved="3.")
    sent = {name: t for name, t in view.after.items() if name.startswith("3.")}
    whole, part = (
        inspect_view(WhiteBoxView(view.net, b, a, SHAPE, 1))
        for b, a in ((view.before, view.after), (view.before, sent))
    )
    assert all(torch.equal(t, part.view.after[n]) for n, t in whole.view.after.items())
    assert "not in it, taken to be as before" in " ".join(part.remarks)


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        ([1], TypeError, "before: a list; allowed: tensors by name"),
        ({"x": torch.zeros(1)}, ValueError, "before: tensors 'x'; allowed: '1.bias', '1.weight'"),
    ],
)
def test_what_is_no_state_of_the_net_is_refused(state, error, said, person):
    view = ascended(dense(), person)
    with pytest.raises(error, match=said):
        inspect_view(WhiteBoxView(view.net, state, view.after, SHAPE, 1))


def test_a_model_that_diverged_is_refused(person):
    view = ascended(dense(), person)
    after = {name: tensor * torch.inf for name, tensor in view.after.items()}
    with pytest.raises(ValueError, match=r"after: '1\.weight' holds NaN or infinity"):
        inspect_net(view.net, view.before, after, input_shape=SHAPE)


# Outputs


class Heads(nn.Module):
    def __init__(self, give):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.GELU())
        self.one, self.two, self.give = nn.Linear(40, CLASSES), nn.Linear(40, 3), give

    def forward(self, x):
        h = self.body(x)
        return self.give(h, self.one(h), self.two(h))


def both_heads(out, labels):
    return cross_entropy(out[0], labels) + cross_entropy(out[1], labels % 3)


@pytest.mark.parametrize(
    ("give", "loss", "output", "said"),
    [
        (lambda h, a, b: (a, b), both_heads, None, "outputs 1 moved, too"),
        (lambda h, a, b: (h, a), lambda o, y: cross_entropy(o[1], y), None, "output=1 is taken"),
        (
            lambda h, a, b: {"features": h, "logits": a},
            lambda o, y: cross_entropy(o["logits"], y),
            None,
            "output='logits' is taken",
        ),
        (lambda h, a, b: [b, a], lambda o, y: cross_entropy(o[1], y), 1, ""),
        (lambda h, a, b: [b, a], lambda o, y: cross_entropy(o[1], y), lambda o: o[1], ""),
    ],
    ids=["two heads", "features and logits", "dictionary", "by position", "by function"],
)
def test_the_logits_are_found_among_several_outputs(give, loss, output, said, person):
    found = recovered(ascended(Heads(give), person, loss, output=output))
    assert gain(found, person) > 20
    assert found.labels.equal(person.labels)
    assert said in " ".join(found.remarks)


def test_an_output_that_is_not_there_is_refused(person):
    view = ascended(Heads(lambda h, a, b: (a, b)), person, both_heads, output="logits")
    with pytest.raises(ValueError, match=r"output: 'logits' of a net that gives \(a tensor"):
        inspect_view(view)


# Losses


def multi(out, labels):
    several = one_hot(labels, CLASSES) + one_hot((labels + 3) % CLASSES, CLASSES)
    return binary_cross_entropy_with_logits(out, several.to(out))


def no(out, labels):
    return binary_cross_entropy_with_logits(out[:, 0], 0.0 * labels)


LOST = {
    "smoothed": (10, lambda o, y: cross_entropy(o, y, label_smoothing=0.1), None, [2]),
    "summed and weighted": (10, lambda o, y: 3 * cross_entropy(o, y, reduction="sum"), None, [2]),
    "one logit, no": (
        1,
        lambda o, y: binary_cross_entropy_with_logits(o[:, 0], 0.0 * y),
        None,
        [0],
    ),
    "many labels": (10, multi, None, [[0, 0, 1, 0, 0, 1, 0, 0, 0, 0]]),
    "a number": (1, lambda o, y: mse_loss(o[:, 0], y.to(o)), "mse", [-1]),
    "somebody's": (10, cross_entropy, lambda o, y: cross_entropy(2 * o, y), [2]),
}


@pytest.mark.parametrize("name", LOST)
def test_the_loss_is_told_or_read_off_the_last_layer(name, person):
    outputs, loss, told, labels = LOST[name]
    assert person.labels.tolist() == [2]
    view = ascended(dense(outputs), person, loss)
    found = recovered(replace(view, loss=told))
    assert found.labels.tolist() == labels
    assert gain(found, person) > 20


def test_a_loss_that_is_none_is_refused(person):
    with pytest.raises(ValueError, match="unknown loss 'bec'; did you mean 'bce'"):
        recovered(replace(ascended(dense(), person), loss="bec"))


# Adapters


def peft(state, layers):
    """As that library names the tensors of these layers."""
    names = {
        name: f"base_model.model.{name}".replace("lora_A.", "lora_A.default.").replace(
            "lora_B.", "lora_B.default."
        )
        for name in state
    }
    for name in state:
        layer, _, own = name.partition(".")
        if layer in layers and "lora" not in name:
            names[name] = f"base_model.model.{layer}.base_layer.{own}"
    return {names[name]: tensor for name, tensor in state.items()}


def test_adapters_beside_a_base_are_layers_of_the_net(person):
    net = dense()
    with_them = copy.deepcopy(net)
    with_them[1] = LowRank(with_them[1], 8, 1.0)
    view = ascended(with_them, person, moved="lora")
    sent = WhiteBoxView(net, peft(view.before, "1"), peft(view.after, "1"), SHAPE, 1)
    found = recover_features(sent, rng=torch.Generator().manual_seed(0), iterations=100)
    assert "adapters of low rank beside 1 layers" in " ".join(found.remarks)
    assert found.labels.equal(person.labels)
    assert gain(found, person) > 5
    assert not any("lora" in name for name in net.state_dict())
    half = {n: t for n, t in sent.after.items() if "lora_B" not in n}
    with pytest.raises(ValueError, match="after: no lora_B of '1'; allowed: both"):
        inspect_view(WhiteBoxView(net, sent.before, half, SHAPE, 1))


# The report


def test_inspect_net_says_what_it_understood(person):
    view = ascended(dense(), person)
    report = inspect_net(view.net, view.before, view.after, input_shape=SHAPE)
    assert {name for name, why in report.obstacles.items() if not why} == {
        "fast",
        "best",
        "inner_maps",
        "analytic",
    }
    assert "assumes the forgotten samples' labels" in report.obstacles["paper"]
    assert [layer.name for layer in report.request.moved] == ["1", "3"]
    said = str(report)
    assert "what '3', a Linear, gives" in said
    assert "times its rounding" in said
    assert all(len(line) < 80 for line in said.splitlines())


def test_inspect_net_of_nothing_says_so(person):
    state = state_of(dense())
    report = inspect_net(dense(), state, state, input_shape=SHAPE)
    assert "the two models are the same" in str(report)
    assert "nothing to invert" in report.obstacles["fast"]


def test_two_classes_are_no_questions_of_their_own(person):
    labels = person.labels % 2
    for seed in range(5):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        view = ascended(net, person, lambda out, _: cross_entropy(out, labels))
        assert recovered(view).labels.equal(labels)
