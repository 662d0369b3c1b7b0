"""Training on shards, by ridge regression, and what training keeps of its steps."""

from itertools import pairwise

import pytest
import torch

from uninv_lib import Spec, prepare
from uninv_lib.models import logits
from uninv_lib.models.ensemble import Ensemble, joint_state, member_state
from uninv_lib.scene import private_of
from uninv_lib.training import fine_tune, fitted, train
from uninv_lib.training.sharded import fingerprints, places, sharded
from uninv_lib.types import Recipe, Split

SMALL = {"dataset": "digits", "model": "linear", "budget": "smoke", "device": "cpu"}


def recipe_of(scene, training, **options):
    own = scene.trained
    return Recipe(net=own.net, pretrained=own.pretrained, training=training, options=options)


def test_an_ensemble_answers_with_the_mean_of_its_members(linear):
    net = Ensemble(linear.trained.net, 3)
    states = [linear.trained.pretrained, linear.trained.state, linear.unlearned]
    inputs = linear.dataset.test.inputs[:20]
    each = [logits(linear.trained.net, state, inputs).softmax(1) for state in states]
    found = logits(net, joint_state(states), inputs).softmax(1)
    assert torch.allclose(found, torch.stack(each).mean(0), atol=1e-6)
    assert member_state(joint_state(states), 1) == linear.trained.state


def test_the_place_of_a_sample_follows_from_its_content_alone():
    split = private_of(Spec(**SMALL, private_size=400))
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    doubled = Split(split.inputs.double(), split.labels)
    assert fingerprints(doubled.take(order)) == [fingerprints(split)[i] for i in order]
    found = places(split, 4, 3)
    assert found.unique(dim=0).shape == (12, 2)
    counts = torch.bincount(found[:, 0] * 3 + found[:, 1])
    assert counts.min() > 10, "spread over all, nearly evenly"


def test_members_learn_their_own_shards_slice_by_slice(linear):
    recipe = fitted(recipe_of(linear, "sharded", shards=2, slices=2))
    private, history = linear.private, []
    rng = torch.Generator().manual_seed(0)
    state = train(recipe, private, rng=rng, history=history)
    assert [stage.part for stage in history] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    where, rng = places(private, 2, 2), torch.Generator().manual_seed(0)
    for shard in range(2):
        true = linear.trained.pretrained
        for i in range(2):
            known = (where[:, 0] == shard) & (where[:, 1] <= i)
            true = fine_tune(linear.trained.net, true, private.take(known), rng=rng)
        found = member_state(state, shard)
        assert all(torch.equal(found[name], true[name]) for name in true)


def test_sharded_training_asks_for_the_ensemble(linear):
    rng = torch.Generator()
    plain = recipe_of(linear, "sharded", shards=2, slices=1)
    with pytest.raises(ValueError, match="net: Sequential; allowed: an Ensemble of shards = 2"):
        train(plain, linear.private, rng=rng)
    with pytest.raises(ValueError, match="an Ensemble of 2; allowed: an Ensemble of shards = 3"):
        sharded(fitted(plain), linear.private, rng=rng, shards=3)


def test_the_steps_of_an_epoch_are_recorded_by_reference():
    scene = prepare(Spec(**SMALL, private_size=300))
    steps = scene.trained.history
    assert [len(step.samples) for step in steps] == [128, 128, 44]
    assert steps[0].before is scene.trained.pretrained
    assert all(one.after is other.before for one, other in pairwise(steps))
    assert steps[-1].after is scene.trained.state


def test_ridge_regression_is_scikit_learns():
    from sklearn.linear_model import Ridge

    scene = prepare(
        Spec(**SMALL, training="ridge", weight_decay=0.5, private_size=64, dtype="float64")
    )
    private, net = scene.private, scene.trained.net
    rows = net[:2](private.inputs)
    rows = torch.cat([rows, rows.new_ones(64, 1)], 1)
    targets = torch.eye(10, dtype=torch.double)[private.labels]
    found = Ridge(alpha=0.5, fit_intercept=False).fit(rows.numpy(), targets.numpy())
    state = scene.trained.state
    true = torch.from_numpy(found.coef_)
    assert torch.allclose(state["2.weight"], true[:, :-1], atol=1e-9)
    assert torch.allclose(state["2.bias"], true[:, -1], atol=1e-9)
