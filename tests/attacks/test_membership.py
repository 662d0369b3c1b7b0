"""Membership by the answers of two models, and how far a released model is from retrained ones."""

import dataclasses
import math
from dataclasses import replace

import pytest
import torch

from uninv_lib import Spec, prepare, run
from uninv_lib.attacks import ATTACKS, Session
from uninv_lib.attacks.membership import CONSTRUCTIONS
from uninv_lib.experiment import attack
from uninv_lib.measure import Outcome, measure
from uninv_lib.measure.membership import above
from uninv_lib.scene import never_seen, private_of
from uninv_lib.shadows import candidates_of, shadows_of
from uninv_lib.types import BlackBoxView, Shadows

WORDS = {"dataset": "digits", "model": "linear", "budget": "smoke", "device": "cpu"}


def answers(count, moved, rng):
    """Before and after of so many samples; those that moved lost confidence in their best class."""
    before = torch.rand(count, 5, generator=rng).mul(4).softmax(1)
    after = before.clone()
    best = before.argmax(1)[:moved]
    after[torch.arange(moved), best] -= 0.2
    after[:moved] += 0.04
    return before, after + 1e-3 * torch.rand(count, 5, generator=rng)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_who_moved_as_forgotten_samples_do_is_told_by_the_difference(construction, rng):
    own, theirs = answers(60, 20, rng), answers(40, 10, rng)
    shadows = Shadows(*own, torch.arange(60) < 20)
    before, after = (lambda _, kept=kept: kept for kept in theirs)
    view = BlackBoxView(before, after, 5, (1,), shadows=shadows, candidates=torch.zeros(40, 1))
    found = ATTACKS["membership"].function(view, session=Session([rng]), construction=construction)
    told = above(found.scores[:10], torch.zeros(10), found.scores[10:], torch.zeros(30))
    sees = construction in ("sorted_difference", "distance")  # a line sees it, whatever the class
    assert told > (0.95 if sees else 0.4)
    assert found.queries == 80


def test_where_nothing_moved_nobody_is_told(linear, rng):
    view = linear.black_box()
    view = replace(view, after=view.before, candidates=linear.forget.inputs.repeat(3, 1, 1, 1))
    view = replace(view, shadows=Shadows(*[torch.full((4, 10), 0.1)] * 2, torch.arange(4) < 2))
    scores = ATTACKS["membership"].function(view, session=Session([rng])).scores
    assert above(scores[:1], torch.zeros(1), scores[1:], torch.zeros(len(scores) - 1)) == 0.5


def test_candidates_are_of_the_classes_of_the_forgotten_samples():
    scene = prepare(Spec(**WORDS, forget_size=3, private_size=100))
    forget, retained, unseen = candidates_of(scene)
    assert torch.equal(forget.inputs, scene.forget.inputs)
    for others in (retained, unseen):
        assert len(others)
        assert set(others.labels.tolist()) <= set(forget.labels.tolist())


def test_who_shares_the_class_is_no_more_forgotten_than_chance():
    """All of one class score high, whoever was forgotten: no membership is told."""
    scores, labels = torch.tensor([9.0, 9.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])
    assert above(scores[:1], labels[:1], scores[1:], labels[1:]) == 0.5
    assert math.isnan(above(scores[:1], labels[:1], scores[2:], labels[2:]))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_a_record_does_not_depend_on_what_was_asked_before(order, tmp_path, monkeypatch):
    monkeypatch.setenv("UNINV_HOME", str(tmp_path))
    spec = Spec(**WORDS, attack="membership", private_size=60, forget_share=1.0)
    found = {request: run(spec.but(request=request)).metrics for request in order}
    monkeypatch.setenv("UNINV_HOME", str(tmp_path / "fresh"))
    assert run(spec.but(request=1)).metrics == found[1]


def test_shadow_services_draw_nobody_of_the_scene_and_serve_all_requests():
    spec = Spec(**WORDS, private_size=100)
    drawn, others = private_of(spec), never_seen(spec)
    assert len(drawn) + len(others) == len(prepare(spec).dataset.private)
    gaps = torch.cdist(drawn.inputs.flatten(1).double(), others.inputs.flatten(1).double())
    assert (gaps > 0).double().mean() > 0.999  # the set itself may hold a picture twice
    scenes = [prepare(spec.but(request=request)) for request in (0, 1)]
    first, second = (dataclasses.astuple(shadows_of(scene)) for scene in scenes)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    other = shadows_of(prepare(spec.but(unlearning="retrain")))
    assert not torch.equal(first[1], other.after)


def test_a_private_set_that_leaves_nobody_for_shadow_services_is_refused():
    spec = Spec(**WORDS, attack="membership", private_size=1)
    everybody = 1 + len(never_seen(spec))
    with pytest.raises(ValueError, match=rf"private_size: {everybody}.*leaves 0.*allowed"):
        run(spec.but(private_size=everybody))


def test_forgetting_is_measured_in_units_of_the_spread_of_retraining():
    scene = prepare(Spec(**WORDS, attack="membership", private_size=300, unlearning="retrain"))
    found = measure(Outcome(scene, *attack(scene)))
    assert found["retraining_distance"] == pytest.approx(1, abs=0.5)
    kept = replace(scene, released=scene.trained.state)
    found = measure(Outcome(kept, *attack(kept)))
    assert found["retraining_distance"] == found["retraining_distance_before"]


def test_where_training_again_has_no_spread_there_is_no_unit():
    found = run(Spec(**WORDS, attack="membership", private_size=20)).metrics  # one minibatch
    assert found["retraining_distance_spread"] < 1e-6
    assert "retraining_distance" not in found


def test_what_is_below_a_retrained_model_is_over_unlearned():
    words = {**WORDS, "attack": "membership"}
    gentle, rough = (
        run(Spec(**words, unlearning_rate=rate)).metrics["over_unlearning"] for rate in (1e-6, 1.0)
    )
    assert rough > 0.1 > gentle
