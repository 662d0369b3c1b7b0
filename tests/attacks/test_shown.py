"""What the chapters show of the attacks' inside."""

import pytest
import torch

from uninv_lib import Spec, prepare
from uninv_lib.attacks import recover_features
from uninv_lib.attacks.features import shown
from uninv_lib.data import load
from uninv_lib.models import build


def test_a_net_is_cut_in_front_of_its_last_convolution() -> None:
    net = build("convnet", load("digits"), seed=0, width=2).eval()
    front, back = shown.before_last_convolution(net)
    x = load("digits").public.inputs[:3]
    assert isinstance(back[0], torch.nn.Conv2d)
    assert not any(isinstance(layer, torch.nn.Conv2d) for layer in list(back)[1:])
    assert torch.equal(back(front(x)), net(x))


def test_a_net_without_a_convolution_has_no_such_place() -> None:
    with pytest.raises(ValueError, match="net: no convolution"):
        shown.before_last_convolution(build("mlp", load("digits"), seed=0))


def test_without_the_curvature_a_converged_layer_shows_another_picture() -> None:
    scene = prepare(
        Spec(
            dataset="digits",
            model="linear",
            budget="smoke",
            training="converged",
            weight_decay=10.0,
            unlearning="retrain",
            knowledge=("public", "weight_decay"),
            dtype="float64",
        )
    )
    view, truth = scene.white_box(), scene.forget.inputs
    with_it = recover_features(view, rng=torch.Generator(), attack="second_order")
    without = shown.recover_first_order(view)
    assert without.inputs.shape == with_it.inputs.shape == truth.shape
    assert (with_it.inputs - truth).norm() < (without.inputs - truth).norm()
