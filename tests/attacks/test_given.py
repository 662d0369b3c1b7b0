"""What users bring in a view that no attack can work with is named; what can mislead is said."""

import copy
import re
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from uninv_lib.attacks import recover_features
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.models import state_of
from uninv_lib.types import WhiteBoxView


def dense(classes=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, classes))


def view_of(net, loss=functional.cross_entropy, label=(2,), rate=0.01):
    after, x = copy.deepcopy(net), torch.linspace(0.1, 0.9, 6)[None]
    optimiser = torch.optim.SGD(after.parameters(), lr=rate)
    (-loss(after(x), torch.tensor(label))).backward()
    optimiser.step()
    return WhiteBoxView(net, state_of(net), state_of(after), (6,), 1)


def recovered(view):
    return recover_features(view, rng=torch.Generator().manual_seed(0), iterations=2)


def changed(change):
    return {name: change(t) for name, t in state_of(dense()).items()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"net": "x"}, "net: str; allowed"),
        ({"net": nn.Linear}, "net: Linear; allowed"),
        ({"input_shape": 6}, "input_shape: 6; allowed"),
        ({"input_shape": (0,)}, "input_shape: (0,); allowed"),
        ({"input_shape": (7,)}, "net: of inputs (5, 7) it says"),
        ({"num_forgotten": 0}, "num_forgotten: 0; allowed"),
        ({"num_forgotten": "1"}, "num_forgotten: '1'; allowed"),
        ({"unlearning_steps": 0}, "unlearning_steps: 0; allowed"),
        ({"private_size": 0}, "private_size: 0; allowed"),
        ({"labels": [1]}, "labels: list; allowed"),
        ({"labels": torch.tensor([1, 2])}, "labels: shape (2,); allowed"),
        ({"labels": torch.tensor([4])}, "labels: [4]; allowed: 0 to 3"),
        ({"labels": torch.zeros(1, 3), "loss": "bce"}, "labels: 3 a sample; allowed"),
        ({"public": torch.zeros(2, 5)}, "public: shape (2, 5); allowed"),
        ({"after": changed(lambda t: t.to(torch.cfloat))}, "is complex64; allowed"),
        ({"after": changed(lambda t: t.int())}, "is int32; allowed"),
        ({"before": changed(lambda t: t.to("meta"))}, "on meta; allowed"),
        (
            {"before": {"0.lora_A.weight": torch.zeros(2)}},
            "before: tensors '0.lora_A.weight'; allowed",
        ),
        ({"loss": lambda z, y: z.sum(1)}, "loss: it gives shape (1,); allowed"),
        ({"loss": lambda z: z.sum()}, "loss: it says"),
    ],
)
def test_what_no_attack_can_work_with_is_named(changes, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        recovered(replace(view_of(dense()), **changes))


@pytest.mark.parametrize("state", [None, {}, {"epoch": 1}])
def test_what_is_no_state_is_said(state):
    with pytest.raises(TypeError, match=r"before: a .*; allowed: tensors by name"):
        inspect_view(replace(view_of(dense()), before=state))


def test_sparse_states_are_read():
    view = view_of(dense())
    sparse = replace(view, after={n: t.to_sparse() for n, t in view.after.items()})
    assert recovered(sparse).inputs.equal(recovered(view).inputs)


def test_layers_that_are_named_as_wrappers_are_kept():
    net = nn.Sequential()
    net.add_module("base_layer", dense())
    assert inspect_view(view_of(net)).remarks == ()


def test_a_squeezed_output_takes_its_own_loss():
    net = nn.Sequential(dense(1), nn.Flatten(0))
    loss = functional.binary_cross_entropy_with_logits
    view = view_of(net, lambda z, y: loss(z, y.float()), (1,))
    own = replace(view, loss=lambda z, y: loss(z, y.float()))
    assert recovered(view).labels.tolist() == recovered(own).labels.tolist() == [1]


def test_a_closed_form_reads_yes_or_no():
    loss = functional.binary_cross_entropy_with_logits
    for answer in (0, 1):
        view = view_of(dense(1), lambda z, y: loss(z, y[:, None].float()), (answer,))
        assert recovered(view).labels.tolist() == [answer]


def test_errors_that_are_none_of_an_ascent_on_cross_entropy_are_said():
    view = view_of(dense())
    assert recovered(view).remarks == ()
    swapped = replace(view, before=view.after, after=view.before)
    assert "class 2 alone is pulled up" in " ".join(recovered(swapped).remarks)
    target = torch.tensor([[-5.0, -5.0, 5.0, -5.0]])
    target = target * torch.tensor([1, 2, 0.2, 0.1])
    other = view_of(dense(), lambda z, _: functional.mse_loss(z, target))
    assert "do not add up to 0" in " ".join(recovered(other).remarks)


def test_fewer_numbers_than_a_sample_has_are_said():
    net = nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 4))
    view = view_of(net)
    last = replace(
        view, after={n: (view.after if n > "1" else view.before)[n] for n in view.before}
    )
    assert "tells 3 numbers of a sample's 6" in " ".join(recovered(last).remarks)


def test_a_tied_first_layer_has_no_closed_form():
    net = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4))
    net[2].weight = net[0].weight
    assert recovered(view_of(net)).loss.numel() > 1


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.other, self.last = nn.Linear(6, 16), nn.Linear(16, 3), nn.Linear(16, 4)

    def forward(self, x):
        x = self.body(x).tanh()
        return self.other(x), self.last(x)


def test_the_head_that_moved_is_taken_and_several_are_matched():
    torch.manual_seed(0)
    net, cross = Heads(), functional.cross_entropy
    found = recovered(view_of(net, lambda z, y: cross(z[1], y), (3,)))
    assert "output=1 is taken" in " ".join(found.remarks)
    assert found.labels.tolist() == [3]
    found = recovered(view_of(net, lambda z, y: cross(z[0], y) + cross(z[1], y)))
    assert "moved, too; all are matched" in " ".join(found.remarks)
    assert found.labels.tolist() == [2]
