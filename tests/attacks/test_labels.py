"""Label inference: scores, probes, several classes, counts, and what a service may do to its
answers.
"""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from uninv_lib import Spec, prepare, run
from uninv_lib.attacks import infer_labels, make_probes
from uninv_lib.attacks.labels.answers import counts_of, log_odds
from uninv_lib.service import ANSWERS, DROPPED
from uninv_lib.types import BlackBoxView

FAST = {
    "dataset": "digits",
    "model": "mlp",
    "budget": "smoke",
    "attack": "labels",
    "private_size": 512,
}


def logits_view(shift):
    """Inputs are logits; unlearning adds `shift` to them."""
    return BlackBoxView(
        lambda x: x.softmax(1), lambda x: (x + shift).softmax(1), len(shift), (len(shift),)
    )


@pytest.mark.parametrize("lead", [1.0, 12.0, 30.0])
def test_log_odds_keep_their_digits_where_the_confidence_is_rounded_to_one(lead):
    logits = torch.tensor([[lead, 0.0, 0.0]])
    expected = lead - torch.log(torch.tensor(2.0))
    assert log_odds(logits.softmax(1))[0, 0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_log_odds_of_impossible_classes_are_finite():
    assert log_odds(torch.tensor([[1.0, 0.0]])).abs().max() < 70


def test_log_odds_name_the_class_that_confidence_hides_behind_saturation():
    view = logits_view(torch.tensor([-1.0, -0.5, 0.0]))
    probes = torch.diag(torch.tensor([20.0, 1.0, 1.0]))[:, None]
    assert infer_labels(view, probes).ranked[0] == 1
    assert infer_labels(view, probes, score="log_odds").ranked[0] == 0
    with pytest.raises(ValueError, match="score: 'logits'; allowed: confidence, log_odds"):
        infer_labels(view, probes, score="logits")


def test_several_forgotten_labels_are_the_first_of_the_ranking_and_counted():
    view = logits_view(torch.tensor([0.0, -0.2, 0.0, -0.1]))
    scores = infer_labels(view, torch.eye(4)[:, None], score="log_odds")
    assert scores.ranked[:2].tolist() == [1, 3]
    counts = counts_of(torch.tensor([0.1, -0.6, 0.2, -0.3]), 9)
    assert counts.tolist() == [0, 6, 0, 3]
    assert counts_of(torch.zeros(4), 6).sum() == 6


def test_public_probes_have_middling_confidence(linear, rng):
    view, public = linear.black_box(), linear.dataset.public.inputs
    probes = make_probes(replace(view, public=public), rng=rng, method="public", count=3)
    chosen = (view.before(probes.flatten(0, 1)).amax(1) - 0.5).abs().mean()
    assert chosen < (view.before(public).amax(1) - 0.5).abs().mean()


def test_public_probes_are_at_most_as_many_as_the_rarest_class_has(linear, rng):
    view, public = linear.black_box(), linear.dataset.public.inputs
    words = {"rng": rng, "method": "public", "count": len(public)}
    probes = make_probes(replace(view, public=public), **words)
    rarest = view.before(public).argmax(1).bincount().min()
    assert probes.shape == (10, rarest, 1, 8, 8)
    assert torch.equal(
        view.before(probes.flatten(0, 1)).argmax(1), torch.arange(10).repeat_interleave(rarest)
    )


def test_boundary_probes_need_the_predicted_class_alone_and_flip_with_the_forgotten_one(rng):
    asked = []

    def label_only(shift):
        def predict(x):
            asked.append(len(x))
            return torch.nn.functional.one_hot((x + shift).argmax(1), 3).float()

        return predict

    forgotten = torch.tensor([0.0, -1e-3, 0.0])
    public = torch.rand(40, 3, generator=rng)
    view = BlackBoxView(label_only(0), label_only(forgotten), 3, (3,), public=public)
    probes = make_probes(view, rng=rng, method="boundary", count=8)
    assert asked == [40] + [24] * 22
    assert infer_labels(view, probes).ranked[0] == 1


@pytest.mark.parametrize("method", ["public", "boundary"])
def test_natural_probes_say_what_public_samples_they_need(method, linear, rng):
    for public in (None, torch.rand(5, 3), torch.zeros(4, 1, 8, 8)):
        with pytest.raises(ValueError, match=r"public: .*; allowed"):
            make_probes(replace(linear.black_box(), public=public), rng=rng, method=method)


@pytest.mark.parametrize("method", ["public", "boundary"])
def test_probes_that_are_chosen_take_no_iterations(method, linear, rng):
    view = replace(linear.black_box(), public=linear.dataset.public.inputs)
    with pytest.raises(ValueError, match=r"settings: \['iterations'\]; allowed of .*: none"):
        make_probes(view, rng=rng, method=method, iterations=3)


def test_a_request_of_several_classes_forgets_the_share_of_each():
    scene = prepare(Spec(**FAST, forget_share=0.1, forget_classes=3))
    assert len(scene.forget.labels.unique()) == 3
    assert len(scene.forget) + len(scene.retain) == 512


@pytest.mark.parametrize(
    ("answers", "distinct"),
    [("probabilities", 1000), ("rounded", 101), ("noisy", 1000), ("label", 2), ("dropout", 1000)],
)
def test_a_service_answers_as_its_spec_says(answers, distinct):
    scene = prepare(Spec(**FAST, forget_share=0.5, answers=answers))
    inputs = scene.dataset.test.inputs
    first, second = (scene.black_box().before(inputs) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (len(inputs), 10)
    assert len(first.unique()) <= distinct or distinct == 1000


def test_dropout_leaves_half_of_the_features_out_anew_for_each_answer_and_right_on_average():
    scene = prepare(Spec(**FAST, forget_share=0.5, answers="dropout"))
    exact = prepare(scene.spec.but(answers="probabilities")).black_box().before
    before, input = scene.black_box().before, scene.dataset.test.inputs[:1]
    assert not torch.equal(before(input), before(input))
    assert DROPPED == 0.5
    mean = before(input.expand(2000, *input.shape[1:])).mean(0)
    assert mean.argmax() == exact(input)[0].argmax()


@pytest.mark.parametrize("answers", ANSWERS)
def test_label_inference_runs_and_repeats_whatever_is_answered(answers):
    spec = Spec(**FAST, forget_share=0.5, forget_classes=2, answers=answers, probes="boundary")
    first, second = run(spec), run(spec)
    assert first.metrics == second.metrics
    assert 0 <= first.metrics["count_error"] <= 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"forget_classes": 2}, "forget_classes: 2 without forget_share"),
        ({"answers": "label", "score": "log_odds"}, "allowed: confidence"),
        ({"answers": "noisy", "probes": "gradient"}, "allowed: a black box's"),
        ({"score": "logits"}, "unknown score 'logits'; allowed: confidence, log_odds"),
    ],
)
def test_a_spec_of_label_inference_that_cannot_run_says_why(fields, message):
    with pytest.raises(ValidationError, match=message):
        Spec(attack="labels", **fields)
