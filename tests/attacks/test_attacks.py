import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from uninv_lib import Spec, metrics, prepare
from uninv_lib.anatomy import anatomy_of, anatomy_of_view, features_of
from uninv_lib.attacks import (
    Session,
    infer_labels,
    make_probes,
    recover_batch,
    recover_features,
)
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.labels.probes import Counted
from uninv_lib.attacks.search.costs import (
    cosine_cost,
    dummy_gradient,
    relative_cost,
    total_variation,
)
from uninv_lib.attacks.search.error import shown
from uninv_lib.attacks.search.known import ErrorsKnown, SumKnown
from uninv_lib.attacks.search.last_layer import separate
from uninv_lib.attacks.search.layerwise import Phases, call, find_inner, halves, split_of
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.attacks.search.softpool import SoftPool, soft_pools
from uninv_lib.attacks.search.target import alike, stack, target_of
from uninv_lib.attacks.search.update import (
    difference,
    error_without_bias,
    forgotten_gradient,
    labels_of_bias,
)
from uninv_lib.data import load
from uninv_lib.models import build, logits, state_of
from uninv_lib.training import gradient, step
from uninv_lib.types import BlackBoxView, WhiteBoxView


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_one_sample_is_recovered_exactly_through_a_fully_connected_layer(model, dtype, rng):
    scene = prepare(Spec(dataset="digits", model=model, budget="smoke", dtype=dtype))
    found = recover_features(scene.white_box(), rng=rng)
    error = (found.inputs - scene.forget.inputs).abs().max()
    assert error < (1e-9 if dtype == "float64" else 1e-2)
    assert torch.equal(found.labels, scene.forget.labels)


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_several_samples_are_recovered_exactly_through_fully_connected_layers(model, rng):
    found = []
    for request in range(3):
        spec = Spec(
            dataset="digits",
            model=model,
            budget="smoke",
            dtype="float64",
            forget_size=2,
            request=request,
        )
        scene = prepare(spec.but(knowledge=("labels",)))
        recovery = recover_features(scene.white_box(), rng=rng, attack="analytic")
        found += metrics.psnr(
            metrics.match(recovery.inputs, scene.forget.inputs), scene.forget.inputs
        ).tolist()
    assert sum(ratio > 30 for ratio in found) >= 4, (
        found
    )  # a single confident sample of a pair stays uncertain


@pytest.mark.slow
def test_samples_are_told_apart_by_the_update_of_the_last_layer():
    right = []
    for request in range(3):
        scene = prepare(
            Spec(dataset="digits", width=2, budget="smoke", forget_size=3, request=request)
        )
        view = replace(scene.white_box(), labels=scene.forget.labels if request else None)
        update, point = forgotten_gradient(view)
        anatomy = anatomy_of_view(view)
        entered = features_of(view.net, point, anatomy.linear, scene.forget.inputs)
        found = separate(view, anatomy, point, update)
        alike = torch.cosine_similarity(
            found.features[:, None], entered.double()[None], dim=2
        ).amax(0)
        right.append(
            bool(alike.min() > 0.999)
            and set(found.labels.tolist()) == set(scene.forget.labels.tolist())
        )
    assert sum(right) >= 2, right


def test_no_more_samples_are_told_apart_than_the_rank_of_the_update_allows(convnet):
    view = replace(convnet.white_box(), num_forgotten=10)
    features = view.before[anatomy_of_view(view).head[0]].shape[1]
    told = f"num_forgotten: 10; allowed with 10 classes and {features} features: 1 to 9"
    with pytest.raises(ValueError, match=f"^{told}$"):
        separate(view, anatomy_of_view(view), *reversed(forgotten_gradient(view)))


@pytest.mark.parametrize(("forgotten", "batch"), [(1, None), (4, None), (4, 2)])
def test_several_steps_are_a_gradient_halfway(forgotten, batch):
    spec = Spec(
        dataset="digits",
        model="mlp",
        budget="smoke",
        dtype="float64",
        unlearning_rate=0.1,
        unlearning_steps=8,
    )
    knowledge = {
        "knowledge": ("unlearning_steps",),
        "forget_size": forgotten,
        "unlearning_batch_size": batch,
    }
    scene = prepare(spec.but(**knowledge))

    def away(view):
        update, point = forgotten_gradient(view)
        exact = gradient(view.net, point, scene.forget)
        flat = [torch.cat([tensor.flatten() for tensor in g.values()]) for g in (update, exact)]
        return 1 - torch.cosine_similarity(*flat, dim=0)

    knowing = scene.white_box()
    assert away(knowing) < 0.1 * away(replace(knowing, unlearning_steps=None))


def test_the_official_combination_is_the_forgotten_gradient_and_the_stated_one_is_not():
    spec = Spec(
        dataset="digits", model="linear", budget="smoke", unlearning="retrain", dtype="float64"
    )
    scene = prepare(spec.but(knowledge=("pretrained", "private_size")))
    truth = torch.cat(
        [
            g.flatten()
            for g in gradient(scene.trained.net, scene.trained.pretrained, scene.forget).values()
        ]
    )

    def cosine(view):
        update = torch.cat([u.flatten() for u in forgotten_gradient(view)[0].values()])
        return torch.cosine_similarity(update, truth, dim=0)

    official = scene.white_box()
    assert cosine(official) > 1 - 1e-9
    assert cosine(replace(official, pretrained=None, private_size=None)) < 0.999


@pytest.mark.parametrize("cost", [cosine_cost, relative_cost])
def test_the_gradient_of_the_recovery_cost_agrees_with_finite_differences(cost, rng):
    spec = Spec(dataset="digits", model="convnet", width=2, budget="smoke", dtype="float64")
    scene = prepare(spec)
    view, labels = scene.white_box(), scene.forget.labels
    target = list(difference(view.net, view.before, view.after).values())

    def value(x):
        slopes = dummy_gradient(
            view.net, view.before, lambda z: torch.nn.functional.cross_entropy(z, labels), x
        )
        return cost(slopes, target) + 0.1 * total_variation(x)

    x = torch.rand(1, 1, 8, 8, generator=rng, dtype=torch.float64)
    direction = torch.randn(1, 1, 8, 8, generator=rng, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    slope = (torch.autograd.grad(value(leaf), leaf)[0] * direction).sum()
    numeric = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    assert torch.isclose(slope, numeric.detach(), rtol=1e-4)


def test_labels_and_their_multiplicities_are_read_off_the_last_bias():
    softmax = torch.full((4, 5), 0.1)
    onehot = torch.nn.functional.one_hot(torch.tensor([3, 1, 3, 0]), 5)
    assert labels_of_bias((softmax - onehot).sum(0) * 0.01, 4).tolist() == [0, 1, 3, 3]


def test_the_published_attack_says_that_it_assumes_labels(convnet, rng):
    with pytest.raises(ValueError, match=r"labels: None; attack 'paper' assumes"):
        recover_features(convnet.white_box(), rng=rng, attack="paper", iterations=1)


def test_recovery_names_the_tensor_that_does_not_match(convnet, rng):
    view = convnet.white_box()
    name = next(name for name, _ in view.net.named_parameters())
    wrong = {**view.after, name: view.after[name][:1]}
    with pytest.raises(ValueError, match=rf"after: '{name}' has shape .*; allowed"):
        recover_features(replace(view, after=wrong), rng=rng)
    without = {k: v for k, v in view.before.items() if k != name}
    with pytest.raises(ValueError, match=rf"before: no tensor '{name}'"):
        recover_features(replace(view, before=without), rng=rng)
    with pytest.raises(ValueError, match=rf"after: '{name}' holds NaN"):
        recover_features(
            replace(view, after={**view.after, name: view.after[name] * torch.nan}), rng=rng
        )
    with pytest.raises(ValueError, match="nothing to invert"):
        recover_features(replace(view, after=view.before), rng=rng)


@pytest.mark.parametrize(
    "words",
    [
        {"attack": "better"},
        {"attack": "analytic"},
        {"attack": "analytic", "iterations": 3},
        {"attack": "second_order", "restarts": 2},
        {"attack": "labels"},
        {"iteration": 3},
        {"iterations": 0},
        {"restarts": 0},
        {"rounds": 0},
        {"kinds": ("best",)},
    ],
)
def test_recovery_refuses_unknown_settings(words, convnet, rng):
    with pytest.raises(ValueError, match="allowed"):
        recover_features(convnet.white_box(), rng=rng, **words)


def test_recovery_survives_nan_and_says_so_when_nothing_is_left(convnet, rng):
    with pytest.raises(FloatingPointError, match="not finite"):
        recover_features(convnet.white_box(), rng=rng, iterations=2, tv=float("nan"))


def test_a_recovery_that_stalls_ends_early(convnet, rng):
    found = recover_features(
        convnet.white_box(),
        rng=rng,
        iterations=400,
        restarts=1,
        patience=25,
        lr=1e-9,
        kinds=("plain",),
    )
    assert found.loss.isnan().any()


@pytest.mark.parametrize(("model", "cut"), [("convnet", 20), ("resnet18", 11), ("mlp", None)])
def test_a_net_is_cut_behind_its_last_pooling_or_before_its_last_stride(model, cut, rng):
    net = build(model, load("digits"), **({} if model == "resnet18" else {"width": 2}))
    inputs, state = torch.rand(2, 1, 8, 8, generator=rng), state_of(net)
    opened, names = in_sequence(anatomy_of(net, (1, 8, 8)), state)
    sequence = opened.net
    assert split_of(sequence) == cut
    assert opened.classifier == f"{len(sequence) - 1}"
    same = logits(sequence, {name: state[old] for name, old in names.items()}, inputs)
    assert torch.allclose(same, logits(net, state, inputs), atol=1e-6)


@pytest.mark.long
@pytest.mark.slow
def test_the_inner_representation_found_is_close_to_that_of_the_forgotten_sample():
    scenes = [
        prepare(Spec(dataset="digits", width=4, budget="smoke", request=request))
        for request in range(3)
    ]
    targets = stack(
        [target_of(inspect_view(scene.white_box()), error_known=True) for scene in scenes]
    )
    session = Session([torch.Generator().manual_seed(i) for i in range(3)], chunk=3)
    phases = Phases(400, 200, 100, 1, 1)
    inner, _ = find_inner(targets, picture=None, free=[], phases=phases, session=session)
    front, _ = halves(targets.net)
    close = []
    for scene, values in zip(scenes, inner, strict=True):
        own, others = (
            call(front, targets.point, x)
            for x in (scene.forget.inputs, scene.dataset.private.inputs)
        )
        away = (others - values).flatten(1).norm(dim=1)
        close.append(bool((own - values).norm() < 0.5 * away.median()))
    assert sum(close) >= 2, close  # a single start may end in a local minimum


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", [1, 2])
def test_what_is_found_does_not_depend_on_how_requests_were_batched(forgotten):
    words = {
        "dataset": "digits",
        "width": 2,
        "budget": "smoke",
        "dtype": "float64",
        "knowledge": "labels",
    }
    spec = Spec(**words, forget_size=forgotten)
    views = [prepare(spec.but(request=request)).white_box() for request in range(2)]

    def recovered(some, **words):
        rngs = [torch.Generator().manual_seed(i) for i in range(len(views))]
        found = recover_batch(
            [views[i] for i in some], rngs=[rngs[i] for i in some], iterations=5, **words
        )
        return torch.stack([recovery.inputs for recovery in found])

    together, alone = recovered([0, 1]), torch.cat([recovered([i]) for i in range(2)])
    assert (together - alone).abs().max() < 1e-4
    assert (together - recovered([0, 1], memory=1.0)).abs().max() < 1e-4


@pytest.mark.parametrize("classes", [3, 10])
def test_error_and_features_are_read_off_a_last_layer_without_bias(classes, rng):
    weight = torch.randn(classes, 20, generator=rng)
    features = torch.rand(20, generator=rng)
    error = (weight @ features).softmax(0) - torch.eye(classes)[0]
    found, entered = error_without_bias(weight, 0.01 * torch.outer(error, features))
    assert torch.allclose(entered, features, rtol=0.02)
    assert torch.allclose(found, 0.01 * error, rtol=0.02)
    with pytest.raises(ValueError, match="2 classes; allowed without a bias: 3 or more"):
        error_without_bias(weight[:2], torch.outer(error[:2], features))


def test_a_net_without_a_last_bias_or_a_classifier_is_attacked(convnet, rng):
    view = convnet.white_box()
    layer = anatomy_of_view(view).linear
    net = copy.deepcopy(view.net)
    net.get_submodule(layer).bias = None
    before, after = (
        {n: t for n, t in s.items() if n != f"{layer}.bias"} for s in (view.before, view.after)
    )
    shifted = replace(view, net=net, before=before, after=step(net, before, convnet.forget, -1e-3))
    assert set(shifted.after) == set(after)
    found = recover_features(shifted, rng=rng, iterations=5)
    assert torch.equal(found.labels, convnet.forget.labels)
    several = replace(shifted, num_forgotten=2)
    found = recover_features(several, rng=rng, iterations=2, kinds=("plain",))
    assert "no parameter's update is the output error" in " ".join(found.remarks)
    net = nn.Sequential(view.net[0], nn.Flatten(), nn.LayerNorm(64, bias=False))
    before = state_of(net.to(convnet.forget.inputs))
    shifted = replace(view, net=net, before=before, after=step(net, before, convnet.forget, -1e-3))
    found = recover_features(shifted, rng=rng, iterations=2)
    assert 0 <= found.labels.item() < 64
    assert "no parameter's update is the output error" in " ".join(found.remarks)
    known = replace(shifted, labels=convnet.forget.labels)
    found = recover_features(known, rng=rng, iterations=2, kinds=("plain",))
    assert found.labels.equal(convnet.forget.labels)


def test_two_classes_without_a_last_bias_are_told_by_the_weights(rng):
    scene = prepare(Spec(dataset="breast_cancer", model="mlp", width=4, budget="smoke"))
    view = scene.white_box()
    bias = f"{anatomy_of_view(view).linear}.bias"
    drowned = replace(view, after={**view.after, bias: view.before[bias]})
    found = recover_features(drowned, rng=rng, iterations=2)
    assert torch.equal(found.labels, scene.forget.labels)
    assert "no parameter's update is the output error" in " ".join(found.remarks)


class Ending(nn.Module):
    """Features, and logits made of them in one of several ways."""

    def __init__(self, make):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Tanh())
        self.head, self.other = nn.Linear(10, 10), nn.Linear(10, 10, bias=False)
        self.bare = nn.Parameter(torch.randn(10))
        self.make = make

    def forward(self, x):
        return self.make(self, self.body(x))


ENDINGS = {
    "a linear layer": (lambda net, h: net.head(h), "head.bias", True),
    "cooled": (lambda net, h: net.head(h) / 2, "head.bias", False),
    "twice": (lambda net, h: net.head(net.head(h).tanh()), None, False),
    "its weight elsewhere also": (
        lambda net, h: net.head((h @ net.head.weight).tanh()),
        "head.bias",
        False,
    ),
    "without bias": (lambda net, h: net.other(h), None, True),
    "a bare parameter": (lambda net, h: h.square() + net.bare, "bare", False),
    "clipped": (lambda net, h: net.head(h).relu(), None, False),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_what_shows_the_output_error_is_found_by_running_the_net(name):
    make, error, features = ENDINGS[name]
    torch.manual_seed(0)
    net = Ending(make)
    found = shown(anatomy_of(net, (1, 8, 8)), state_of(net))
    assert (found.error, found.features) == (error, features)


def _one_step(normalise, layers, forget):
    net = nn.Sequential(normalise, *layers).double().eval()
    before, forget = state_of(net), forget.to(torch.zeros((), dtype=torch.double))
    return WhiteBoxView(
        net, before, step(net, before, forget, -1e-3), tuple(forget.inputs.shape[1:]), len(forget)
    )


@pytest.mark.parametrize("forgotten", [1, 2])
def test_a_convolution_may_give_the_logits(convnet, rng, forgotten):
    layers = [
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(8, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    forget = convnet.dataset.private.take(torch.arange(forgotten))
    view = _one_step(convnet.trained.net[0], layers, forget)
    target = target_of(inspect_view(view), error_known=True)
    error = logits(view.net, view.before, forget.inputs.double()).softmax(1) - one_hot(
        forget.labels, 10
    )
    known = target.goals.known
    assert isinstance(known, ErrorsKnown if forgotten == 1 else SumKnown)
    read = (known.errors if forgotten == 1 else known.total).flatten()
    assert torch.cosine_similarity(read, error.sum(0), dim=0) > 1 - 1e-9
    assert torch.equal(
        recover_features(view, rng=rng, iterations=5).labels, forget.labels.sort().values
    )


@pytest.mark.long
@pytest.mark.slow
def test_a_target_that_is_solved_gets_no_further_round_for_its_neighbours_sake():
    spec = Spec(dataset="digits", width=2, budget="smoke", dtype="float64")
    views = [prepare(spec.but(request=request)).white_box() for request in range(2)]

    def recovered(some, **words):
        rngs = [torch.Generator().manual_seed(i) for i in some]
        return recover_batch([views[i] for i in some], rngs=rngs, iterations=10, rounds=2, **words)

    first = [recovery.loss[0].min().item() for recovery in recovered([0, 1], enough=0.0)]
    enough = sum(first) / 2
    together, alone = (
        recovered([0, 1], enough=enough),
        [recovered([i], enough=enough)[0] for i in range(2)],
    )
    assert sorted(len(recovery.loss) for recovery in together) == [1, 2]
    for one, other in zip(together, alone, strict=True):
        assert one.loss.shape == other.loss.shape
        assert (one.inputs - other.inputs).abs().max() < 1e-4


@pytest.mark.slow
def test_a_compiled_search_finds_the_same(monkeypatch, convnet):
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend="eager")
    )  # traced, but no compiler is needed
    private = convnet.dataset.private
    layers = [nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 10)]
    views = [
        _one_step(convnet.trained.net[0], layers, private.take(torch.tensor([i]))) for i in range(2)
    ]
    rngs = [[torch.Generator().manual_seed(i) for i in range(2)] for _ in range(2)]
    plain, traced = (
        recover_batch(views, rngs=rngs[c], iterations=5, kinds=("plain",), compiled=bool(c))
        for c in range(2)
    )
    for one, other in zip(plain, traced, strict=True):
        assert (one.inputs - other.inputs).abs().max() < 1e-6


def test_requests_to_other_models_go_in_other_batches(convnet):
    other = prepare(convnet.spec.but(seed=1))
    again = prepare(convnet.spec.but(request=1))
    several = prepare(convnet.spec.but(forget_size=2))
    targets = [
        target_of(inspect_view(scene.white_box()), error_known=True)
        for scene in (convnet, other, again, several)
    ]
    assert alike(targets) == [[0, 2], [1], [3]]


def test_a_batch_needs_a_generator_for_each_request(convnet, rng):
    with pytest.raises(ValueError, match="rngs: 1 for 2 views; allowed: one each"):
        recover_batch([convnet.white_box()] * 2, rngs=[rng])


def test_a_softened_pooling_is_the_maximum_when_cold_and_the_mean_when_hot(rng):
    values = torch.rand(2, 3, 7, 8, generator=rng)
    for temperature, pool in (
        (1e-4, torch.nn.functional.max_pool2d),
        (1e4, torch.nn.functional.avg_pool2d),
    ):
        assert torch.allclose(SoftPool(3, temperature)(values), pool(values, 3), atol=1e-3)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, 3), torch.nn.MaxPool2d(2), torch.nn.MaxPool2d(3, 2)
    )
    assert [type(layer).__name__ for layer in soft_pools(net, 1.0)] == [
        "Conv2d",
        "SoftPool",
        "MaxPool2d",
    ]
    assert list(soft_pools(net, 1.0).state_dict()) == list(net.state_dict())


def test_the_class_whose_confidence_falls_most_is_inferred():
    answers = torch.full((6, 3), 1 / 3)
    view = BlackBoxView(
        lambda x: answers, lambda x: answers - torch.tensor([0.0, 0.2, 0.1]), 3, (4,)
    )
    scores = infer_labels(view, torch.rand(3, 2, 4))
    assert scores.ranked.tolist() == [1, 2, 0]
    assert scores.change.tolist() == pytest.approx([0, -0.2, -0.1])
    for probes in (torch.rand(3, 0, 4), torch.rand(2, 2, 4), torch.rand(3, 2, 5)):
        with pytest.raises(ValueError, match=r"probes: shape .*; allowed"):
            infer_labels(view, probes)
    with pytest.raises(ValueError, match=r"view.before: answers of shape \(8, 3\); allowed"):
        infer_labels(
            replace(view, num_classes=4, before=lambda x: answers[:1].expand(8, 3)),
            torch.rand(4, 2, 4),
        )
    with pytest.raises(ValueError, match=r"view.after: .* NaN or infinity among them"):
        infer_labels(replace(view, after=lambda x: answers * torch.nan), torch.rand(3, 2, 4))
    with pytest.raises(ValueError, match=r"probes: shape .*; allowed"):
        infer_labels(view, torch.rand(2, 2, 4))


def test_the_black_box_needs_no_gradient_and_every_answer_is_counted(linear, rng):
    asked = Counted(linear.black_box().before)
    view = replace(linear.black_box(), before=asked)
    with torch.no_grad():
        make_probes(view, rng=rng, method="zoo", count=1, iterations=2)
    assert asked.queries == 10 + 10 * 32 + 10 + 10 * 32
    with torch.no_grad(), pytest.raises(ValueError, match=r"predict: gives no gradient; allowed"):
        make_probes(view, rng=rng, method="gradient", count=1, iterations=2)


def test_psnr_is_the_peak_over_the_error():
    truth = torch.zeros(2, 1, 8, 8)
    assert metrics.psnr(truth + 0.1, truth).tolist() == pytest.approx([20.0, 20.0], abs=1e-5)
    assert metrics.psnr(truth + 0.1, truth, peak=4).tolist() == pytest.approx([32.04] * 2, abs=1e-2)
    assert metrics.ssim(truth, truth).tolist() == [1.0, 1.0]


def test_several_samples_are_matched_before_they_are_compared():
    truth = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(metrics.match(truth[[2, 0, 1]], truth), truth)


def test_who_was_found_exactly_is_matched_to_nobody_else():
    truth = torch.stack([torch.full((4,), value) for value in (0.0, 0.2, 1.0)])
    found = torch.stack([torch.full((4,), 0.5), torch.zeros(4), torch.full((4,), 0.5)])
    assert metrics.match(found, truth)[0].eq(0).all()


def test_intervals_hold_their_rate():
    assert metrics.wilson(5, 10) == pytest.approx((0.5, 0.2366, 0.7634), abs=1e-4)
    assert metrics.wilson(20, 20)[2] == 1
    median, low, high = metrics.interval(torch.arange(100.0))
    assert low < median < high
    with pytest.raises(ValueError, match="allowed"):
        metrics.wilson(3, 2)


def test_lpips_offline_says_what_to_do(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(RuntimeError, match=r"could not be fetched .*; go online once"):
        metrics.lpips(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
