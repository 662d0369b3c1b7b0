"""Every net with every option: its shapes, weights and training, and that attacks run on it."""

from typing import Any

import pytest
import torch
from torch import nn

from uninv_lib import Spec, inspect_net, load, prepare, run
from uninv_lib.anatomy import aliases
from uninv_lib.models import MODELS, build, logits, parts, state_of
from uninv_lib.models.normalise import LEAST_OF_A_COLUMN, Normalise
from uninv_lib.scene import pretrain
from uninv_lib.training.pretraining import clip_of
from uninv_lib.training.sgd import evaluate

NETS: dict[str, list[dict[str, Any]]] = {
    "linear": [{}],
    "mlp": [{"width": 2, "activation": name} for name in parts.ACTIVATIONS],
    "convnet": [
        {"width": 2, "normalisation": norm, "activation": act}
        for norm in ("none", "batch", "group")
        for act in parts.ACTIVATIONS
    ],
    "resnet18": [{"width": 4, "normalisation": norm} for norm in ("batch", "group")],
    "vgg16": [
        *({"width": 2, "normalisation": norm} for norm in ("none", "batch", "group")),
        {"width": 2, "activation": "silu", "dropout": 0.5},
    ],
    "vit": [{"patch": 2, "dim": 16, "depth": 2, "heads": 2}],
}
"""Options that each net is tried with, on digits."""
EACH = [
    pytest.param(model, options, id=" ".join(map(str, [model, *options.values()])))
    for model, tried in NETS.items()
    for options in tried
]
each_net = pytest.mark.parametrize(("model", "options"), EACH)


def test_every_net_is_tried():
    assert NETS.keys() == MODELS.keys()


@each_net
def test_a_net_answers_one_by_one_in_eval_and_has_each_tensor_once(model, options):
    digits = load("digits")
    net = build(model, digits, **options)
    inputs = digits.test.inputs[:4]
    together = net(inputs)
    assert together.shape == (4, 10)
    assert not any(part.training for part in net.modules())
    assert torch.allclose(torch.cat([net(x) for x in inputs.split(1)]), together, atol=1e-5)
    assert not aliases(net)
    again = build(model, digits, **options).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in net.state_dict().items())


def published(width, pool):
    """The convnet as it was before it had options."""
    layers: list[nn.Module] = []
    previous = 1
    for i, factor in enumerate([1, 2, 2, 4, 4, 4, 4, 4]):
        layers += [nn.Conv2d(previous, factor * width, 3, padding=1)]
        layers += [nn.BatchNorm2d(factor * width), nn.ReLU()]
        layers += [nn.MaxPool2d(pool)] * (i in (5, 7))
        previous = factor * width
    return [*layers, nn.Flatten(), nn.Linear(4 * previous, 10)]


def test_the_weights_of_the_default_convnet_are_what_they_were():
    digits = load("digits")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = nn.Sequential(Normalise(digits.public.inputs), *published(4, 2)).state_dict()
    found = build("convnet", digits, seed=3, width=4).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.long
@pytest.mark.slow
@each_net
def test_a_net_learns_digits_in_few_epochs_and_is_attacked(model, options):
    options = {**options, **({"width": 4} if model in ("convnet", "vgg16") else {})}
    spec = Spec(
        dataset="digits",
        model=model,
        epochs=12,
        budget="smoke",
        device="cpu",
        private_size=8,
        **options,
    )
    assert evaluate(*pretrain(spec), load("digits").test) > 0.5
    view = prepare(spec).white_box()
    report = inspect_net(view.net, view.before, view.after, input_shape=view.input_shape)
    assert not report.obstacles["fast"]
    assert "a Linear" in report.parts["logits"]
    assert "gain" in run(spec).metrics
    assert "label_accuracy" in run(spec.but(attack="labels", probes="public")).metrics


@pytest.mark.slow
def test_a_vision_transformer_gives_its_patches_in_closed_form():
    spec = Spec(dataset="digits", model="vit", patch=2, dim=32, depth=2, epochs=2, device="cpu")
    assert run(spec).metrics["gain"] > 30


@pytest.mark.parametrize("model", ["vgg16", "vit"])
@pytest.mark.parametrize(("dataset", "patch"), [("digits", 2), ("faces", 5), ("photos", 8)])
def test_deep_nets_answer_for_pictures_of_every_size(model, dataset, patch):
    options = {"patch": patch, "dim": 16} if model == "vit" else {"width": 1}
    found = load(dataset)
    answers = build(model, found, **options)(found.test.inputs[:2])
    assert answers.shape == (2, found.num_classes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 3}, r"patch: 3 of pictures 8x8; allowed: \[1, 2, 4, 8\]"),
        ({"dim": 10, "heads": 4}, "heads: 4 of dim 10; allowed: a divisor of dim"),
    ],
)
def test_a_vision_transformer_refuses_what_does_not_divide(options, message):
    with pytest.raises(ValueError, match=message):
        build("vit", load("digits"), **options)


@pytest.mark.parametrize("channels", range(1, 130))
def test_groups_divide_their_channels(channels):
    groups = parts.groups_of(channels)
    assert channels % groups == 0
    assert groups <= parts.GROUPS
    assert channels // groups >= min(channels, parts.CHANNELS)


@pytest.mark.parametrize("side", [1, 2, 8])
def test_nets_that_nothing_normalises_begin_with_layers_that_keep_sizes(side):
    torch.manual_seed(0)
    layers = [part for _ in range(8) for part in parts.convolution(4, 4, "none", "relu")]
    parts.unit_variance(layers, (4, side, side))
    passed = nn.Sequential(*layers[:-1])(torch.randn(256, 4, side, side))
    assert 0.3 < passed.std() < 3


def test_gradients_are_clipped_where_no_batch_is_normalised():
    digits = load("digits")
    clipped = [
        (model, options.get("normalisation"))
        for model, tried in NETS.items()
        for options in tried
        if clip_of(build(model, digits, **options)) is not None
    ]
    convolutional = [("convnet", "none"), ("convnet", "group"), ("resnet18", "group")]
    assert set(clipped) == {*convolutional, ("vgg16", "none"), ("vgg16", "group")}


def test_hidden_layers_of_many_inputs_are_trained_with_clipped_gradients_and_stay_small():
    digits, photos = load("digits"), load("photos")
    assert clip_of(build("mlp", digits)) is None
    assert clip_of(build("linear", photos)) is None
    scene = prepare(Spec(dataset="photos", model="mlp", width=8, epochs=2))
    assert max(weights.abs().max() for weights in scene.trained.state.values()) < 2


def test_dropout_is_of_training_alone():
    digits = load("digits")
    net = build("vgg16", digits, width=1, dropout=0.9)
    inputs = digits.test.inputs[:8]
    assert torch.equal(net(inputs), net(inputs))
    assert torch.equal(logits(net, state_of(net), inputs), net(inputs))
    net.train()
    assert not torch.equal(net(inputs), net(inputs))


def test_a_category_that_no_public_row_has_stays_near_the_others():
    inputs = torch.rand(100, 3)
    inputs[:, 2] = 0
    found = Normalise(inputs)(torch.ones(1, 3))
    assert found[0, 2] == pytest.approx(1 / LEAST_OF_A_COLUMN)
