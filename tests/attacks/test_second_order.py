"""The private training to convergence, and the attack that undoes exact unlearning of it."""

from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from uninv_lib import Spec, metrics, prepare, run
from uninv_lib.anatomy import anatomy_of_view, entered, joined
from uninv_lib.attacks import Session, recover_features
from uninv_lib.attacks.features import second_order
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.labels.by_parameters import SCORES, labels_of_parameters
from uninv_lib.attacks.search.update import NothingChanged
from uninv_lib.methods import applicable
from uninv_lib.training.converged import converge

WORDS = {
    "dataset": "digits",
    "training": "converged",
    "weight_decay": 10.0,
    "unlearning": "retrain",
    "private_size": 128,
    "knowledge": "public,weight_decay",
    "dtype": "float64",
    "budget": "smoke",
}


def scene(model="linear", **changes):
    return prepare(Spec(**applicable({**WORDS, "model": model, "width": 4, **changes})))


@pytest.fixture(scope="module")
def requests():
    return [scene(request=r) for r in range(6)]


@pytest.mark.parametrize("model", ["linear", "mlp", "convnet"])
@pytest.mark.parametrize("size", [8, 128])
def test_converged_training_ends_where_the_gradient_of_the_whole_loss_is_zero(model, size):
    found = scene(model, private_size=size)
    anatomy = anatomy_of_view(found.white_box())
    names = anatomy.head
    for state, parts in (
        (found.trained.state, [found.forget, found.retain]),
        (found.released, [found.retain]),
    ):
        rows = torch.cat([entered(anatomy, state, part.inputs) for part in parts])
        labels = torch.cat([part.labels for part in parts])
        weights = joined(state, names).requires_grad_()
        loss = cross_entropy(rows @ weights.T, labels, reduction="sum") + 5 * weights.square().sum()
        assert torch.autograd.grad(loss, weights)[0].norm() < 1e-4
        untouched = set(state) - set(names)
        assert all(torch.equal(state[name], found.trained.pretrained[name]) for name in untouched)


def test_converged_training_without_samples_is_the_optimum_of_the_penalty():
    found = scene(private_size=1)
    assert not joined(found.released, anatomy_of_view(found.white_box()).head).any()


def test_an_optimum_out_of_reach_is_an_error(monkeypatch, linear):
    monkeypatch.setattr(import_module("uninv_lib.training.converged"), "GOAL", 1e3)
    with pytest.raises(FloatingPointError, match="try a larger weight_decay"):
        converge(linear.trained.net, linear.trained.pretrained, linear.retain)


def test_with_the_retained_samples_for_public_ones_the_recovery_is_exact(requests):
    for found in requests:
        view = replace(found.white_box(), public=found.retain.inputs)
        recovery = second_order.recover(inspect_view(view), session=Session([torch.Generator()]))
        assert metrics.psnr(recovery.inputs, found.forget.inputs).min() > 60
        assert torch.equal(recovery.labels, found.forget.labels)


def test_public_samples_suffice_where_the_first_order_fails(requests):
    cosines = []
    for found in requests:
        view = found.white_box()
        true = entered(anatomy_of_view(view), view.before, found.forget.inputs)[:, :-1]
        both = [second_order.last_features(v) for v in (view, second_order.first_order(view))]
        cosines.append([cosine_similarity(f.features, true).item() for f in both])
        assert torch.equal(both[0].labels, found.forget.labels)
    second, first = torch.tensor(cosines).median(0).values.tolist()
    assert second > 0.93
    assert first < 0.8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_several_samples_are_told_apart(dtype):
    found = scene(forget_size=2, dtype=dtype)
    view = replace(found.white_box(), public=found.retain.inputs, labels=found.forget.labels)
    recovery = second_order.recover(inspect_view(view), session=Session([torch.Generator()]))
    assert (
        metrics.psnr(metrics.match(recovery.inputs, found.forget.inputs), found.forget.inputs).min()
        > 30
    )


def test_the_features_of_a_deeper_net_are_found(rng):
    found = scene("mlp")
    view = found.white_box()
    true = entered(anatomy_of_view(view), view.before, found.forget.inputs)[:, :-1]
    assert cosine_similarity(second_order.last_features(view).features, true).item() > 0.9
    shown = []
    recover_features(
        view,
        rng=rng,
        attack="second_order",
        iterations=5,
        callback=lambda i, x: shown.append((i, x)),
    )
    assert [i for i, _ in shown] == list(range(5))
    assert shown[0][1].shape == found.forget.inputs.shape


def test_second_order_without_public_data_is_an_error(requests, rng):
    view = second_order.first_order(requests[0].white_box())
    with pytest.raises(
        ValueError, match=r"view.public: None; attack 'second_order' assumes public samples"
    ):
        recover_features(view, rng=rng, attack="second_order")
    with pytest.raises(NothingChanged, match="last linear layer equals"):
        second_order.last_features(replace(view, after=view.before))
    with pytest.raises(
        ValueError, match=r"score: 'weights'; allowed: bias, rows, answer, logit, curvature"
    ):
        labels_of_parameters(view, score="weights")
    with pytest.raises(ValueError, match=r"view.public: None; score 'logit'"):
        labels_of_parameters(view, score="logit")


@pytest.mark.parametrize("score", SCORES)
def test_scores_of_parameters_rank_every_class_and_ask_nothing(score, requests):
    scores = labels_of_parameters(requests[0].white_box(), score=score)
    assert sorted(scores.ranked.tolist()) == list(range(10))
    assert scores.change[scores.ranked[0]] == scores.change.min()
    assert scores.queries == 0


def test_the_curvature_tells_labels_that_the_bias_hides(requests):
    right = {
        s: sum(
            labels_of_parameters(r.white_box(), score=s).ranked[0] == r.forget.labels[0]
            for r in requests
        )
        for s in SCORES
    }
    assert right["curvature"] == len(requests)
    assert right["bias"] < len(requests)


def test_the_rows_of_the_classes_tell_a_label_whose_bias_drowned_in_rounding(convnet):
    view, label = convnet.white_box(), convnet.forget.labels[0]
    bias = anatomy_of_view(view).head[1]
    large = 2.0**20  # on every class, which changes no answer
    models = [{**state, bias: state[bias] + large} for state in (view.before, view.after)]
    drowned = replace(view, before=models[0], after=models[1])
    assert torch.equal(models[0][bias], models[1][bias])
    assert labels_of_parameters(drowned, score="rows").ranked[0] == label
    assert not labels_of_parameters(drowned, score="bias").change.any()


def test_a_record_holds_both_orders():
    record = run(Spec(**WORDS, model="linear", attack="second_order"))
    assert record.metrics["feature_cosine"] > record.metrics["feature_cosine_first_order"]
    assert record.metrics["psnr"] > record.metrics["psnr_first_order"]
    labels = run(Spec(**WORDS, model="linear", attack="labels", probes="public"))
    assert {
        "label_accuracy_server",
        "label_accuracy_server_rows",
        "label_accuracy_server_logit",
        "label_accuracy_server_curvature",
    } <= set(labels.metrics)


def test_where_rounding_took_the_last_bias_no_length_is_known_and_nothing_breaks():
    words = {
        "dataset": "breast_cancer",
        "model": "linear",
        "training": "converged",
        "unlearning": "retrain",
    }
    view = prepare(Spec(**words, weight_decay=10.0)).white_box()
    bias = anatomy_of_view(view).head[1]
    unmoved = replace(
        view, after={**view.after, bias: view.before[bias]}, public=None, weight_decay=None
    )
    assert torch.equal(second_order.last_features(unmoved).features, torch.zeros(1, 30))
    assert (
        second_order.recover(inspect_view(unmoved), session=Session([torch.Generator()]))
        .inputs.isfinite()
        .all()
    )


def test_a_vision_transformer_is_searched_by_its_features():
    vit = {"dataset": "digits", "model": "vit", "patch": 4, "dim": 16, "depth": 1, "epochs": 1}
    spec = Spec(**vit, budget="smoke", attack="second_order", knowledge="public", device="cpu")
    assert "gain" in run(spec).metrics
