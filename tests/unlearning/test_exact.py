"""What only the methods promise that lead where training again leads, or back to where it began."""

from dataclasses import replace
from functools import lru_cache

import pytest
import torch

from uninv_lib import Spec, prepare
from uninv_lib.anatomy import anatomy_of, joined
from uninv_lib.models.ensemble import member_state
from uninv_lib.training import TRAINING, fine_tune
from uninv_lib.training.sharded import learn, places
from uninv_lib.types import Split
from uninv_lib.unlearning import UNLEARNING
from uninv_lib.unlearning.sisa import sisa

SMALL = {"dataset": "digits", "model": "linear", "budget": "smoke", "device": "cpu"}


@lru_cache
def scene_of(**fields):
    words = {**SMALL, "dtype": "float64", "unlearning": "retrain"}
    return prepare(Spec(**{**words, **fields}))


def unlearn(method, scene, forget=None, retain=None, state=None, **options):
    trained = scene.trained if state is None else replace(scene.trained, state=state)
    forget, retain = forget or scene.forget, retain or scene.retain
    rng = torch.Generator().manual_seed(0)
    return UNLEARNING[method](trained, forget, retain, rng=rng, **options)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def head(scene, state):
    names = anatomy_of(scene.trained.net, scene.dataset.input_shape, state).head
    return joined(state, names)


def requests(scene, *chosen):
    """(forget, retain) of each of several requests, by the positions of who is forgotten."""
    private, gone = scene.private, torch.zeros(len(scene.private), dtype=torch.bool)
    for positions in chosen:
        gone[positions] = True
        yield private.take(torch.tensor(positions)), private.take((~gone).nonzero()[:, 0])


# newton


@pytest.mark.parametrize("count", [1, 5])
def test_a_newton_step_of_ridge_regression_is_training_again(count):
    scene = scene_of(training="ridge", forget_size=count)
    found, true = (head(scene, unlearn(method, scene)) for method in ("newton", "retrain"))
    moved = (head(scene, scene.trained.state) - true).norm()
    assert (found - true).norm() < 1e-10 * moved


def test_a_newton_step_ends_nearer_to_training_again_than_any_step_along_the_gradient():
    scene = scene_of(training="converged")
    true = head(scene, unlearn("retrain", scene))

    def distance(state):
        return (head(scene, state) - true).norm().item()

    rates = torch.logspace(-4, 1, 26).tolist()
    ascents = [unlearn("gradient_ascent", scene, unlearning_rate=rate) for rate in rates]
    assert distance(unlearn("newton", scene)) < 0.5 * min(map(distance, ascents))


def test_removal_noise_is_gaussian_of_the_deviation_that_is_asked_for():
    scene = scene_of(training="converged")
    noisy, plain = (unlearn("newton", scene, removal_noise=s) for s in (0.1, 0.0))
    noise = head(scene, noisy) - head(scene, plain)
    assert noise.std() == pytest.approx(0.1, rel=0.1)


# amnesiac


def test_amnesia_of_a_single_minibatch_leaves_the_pretrained_model_bit_for_bit():
    scene = scene_of()
    assert same(unlearn("amnesiac", scene), scene.trained.pretrained)


@pytest.mark.parametrize("size", [200, 300])
def test_amnesia_takes_back_the_steps_that_held_the_sample_and_no_others(size):
    scene = scene_of(private_size=size)
    steps = scene.trained.history
    assert len(steps) == -(-size // 128)
    own = scene.forget.inputs[0]
    at = next(i for i, s in enumerate(steps) if (s.samples.inputs == own).flatten(1).all(1).any())
    after = unlearn("amnesiac", scene)
    for name, tensor in after.items():
        kept = [s.after[name] - s.before[name] for i, s in enumerate(steps) if i != at]
        true = scene.trained.pretrained[name] + sum(kept)
        assert torch.allclose(tensor, true, rtol=0, atol=1e-15)


def test_amnesia_of_the_last_step_is_exact():
    scene = scene_of(private_size=200)
    last = scene.trained.history[-1]
    private = scene.private
    inside = (private.inputs[:, None] == last.samples.inputs[None]).flatten(2).all(2).any(1)
    forget, retain = (private.take(part.nonzero()[:, 0]) for part in (inside, ~inside))
    assert same(unlearn("amnesiac", scene, forget, retain), last.before)


def test_amnesia_of_one_request_after_another_is_that_of_both_at_once():
    scene = scene_of(private_size=300)
    (one, kept), (two, rest) = requests(scene, [0], [1])
    ((both, _),) = requests(scene, [0, 1])
    between = unlearn("amnesiac", scene, one, kept)
    assert same(
        unlearn("amnesiac", scene, two, rest, between), unlearn("amnesiac", scene, both, rest)
    )


def test_amnesia_without_a_history_that_leads_to_the_model_is_an_error():
    scene = scene_of()
    bare = replace(scene, trained=replace(scene.trained, history=()))
    with pytest.raises(ValueError, match="history: empty; allowed: what the private training rec"):
        unlearn("amnesiac", bare)
    with pytest.raises(ValueError, match=r"history: leads to another state than trained\.state"):
        unlearn("amnesiac", scene, state=scene.trained.pretrained)


# sisa


def test_one_shard_in_one_slice_is_training_again():
    plain, shard = scene_of(), scene_of(training="sharded", shards=1, slices=1)
    after = unlearn("sisa", shard)
    assert same(after, unlearn("retrain", shard))
    assert same(member_state(after, 0), unlearn("retrain", plain))


@pytest.mark.parametrize("slices", [1, 3])
def test_only_the_member_that_knew_the_sample_changes(slices):
    scene = scene_of(training="sharded", shards=4, slices=slices, private_size=64)
    ((home, _),) = places(scene.forget, 4, slices).tolist()
    after = unlearn("sisa", scene)
    for i in range(4):
        before = member_state(scene.trained.state, i)
        assert same(member_state(after, i), before) == (i != home)


def test_a_member_trains_again_from_the_checkpoint_in_front_of_the_slice():
    scene = scene_of(training="sharded", shards=2, slices=3, private_size=64)
    ((home, slice_),) = places(scene.forget, 2, 3).tolist()
    (stage,) = [s for s in scene.trained.history if s.part == (home, slice_)]
    kept = scene.retain.take((places(scene.retain, 2, 3)[:, 0] == home).nonzero()[:, 0])
    rng = torch.Generator().manual_seed(0)
    true = learn(scene.trained, kept, home, rng=rng, slices=3, start=slice_, state=stage.before)
    assert same(member_state(unlearn("sisa", scene), home), true)


def test_who_was_forgotten_before_does_not_come_back_with_a_checkpoint():
    """The second of two requests of one shard, of a later slice, starts in front of the first."""
    scene = scene_of(training="sharded", shards=1, slices=3, private_size=64)
    part = places(scene.private, 1, 3)[:, 1]
    early, late = (int((part == i).nonzero()[0]) for i in (0, 2))
    (one, kept), (two, rest) = requests(scene, [early], [late])
    between = unlearn("sisa", scene, one, kept)
    ((both, _),) = requests(scene, [early, late])
    assert same(unlearn("sisa", scene, two, rest, between), unlearn("sisa", scene, both, rest))


def test_sisa_without_checkpoints_is_an_error():
    scene = scene_of(training="sharded")
    bare = replace(scene.trained, history=())
    rng = torch.Generator()
    with pytest.raises(ValueError, match=r"history: no checkpoint of shard \d in front of"):
        sisa(bare, scene.forget, scene.retain, rng=rng)


def test_a_shard_that_loses_all_its_samples_falls_back_to_the_pretrained_member():
    scene = scene_of(training="sharded", shards=4)
    mine = places(scene.private, 4, 1)[:, 0] == places(scene.forget, 4, 1)[0, 0]
    forget, retain = (scene.private.take(m.nonzero()[:, 0]) for m in (mine, ~mine))
    assert isinstance(forget, Split)
    home = int(places(forget, 4, 1)[0, 0])
    after = member_state(unlearn("sisa", scene, forget, retain), home)
    assert same(after, member_state(scene.trained.pretrained, home))


def test_sisa_forgets_one_of_two_who_are_alike():
    scene = scene_of(training="sharded", private_size=40)
    trained, rng = scene.trained, torch.Generator().manual_seed(0)
    one = scene.forget
    everybody = Split(one.inputs, one.labels).and_then(one, scene.retain)
    shards = trained.options["shards"]
    history = []
    sharded = TRAINING["sharded"](trained, everybody, rng=rng, history=history, **trained.options)
    twins = replace(trained, state=sharded, history=tuple(history))
    after = sisa(twins, one, one.and_then(scene.retain), rng=rng)
    home = places(one, shards, 1)[0, 0].item()
    assert not same(member_state(after, home), member_state(sharded, home))


# retrain


def test_retraining_in_the_same_order_takes_each_minibatch_without_the_forgotten():
    scene = scene_of(private_size=256, forget_size=3, private_epochs=2)
    gone = {row.numpy().tobytes() for row in scene.forget.inputs}
    state = scene.trained.pretrained
    assert len(scene.trained.history) == 4
    for step in scene.trained.history:
        stay = [i for i, row in enumerate(step.samples.inputs) if row.numpy().tobytes() not in gone]
        state = fine_tune(
            scene.trained.net, state, step.samples.take(torch.tensor(stay)), rng=torch.Generator()
        )
    found = unlearn("retrain", scene, order="same")
    assert all(torch.allclose(found[n], state[n], rtol=0, atol=1e-15) for n in state)
    assert not same(found, unlearn("retrain", scene))


def test_nobody_forgotten_in_the_same_order_is_the_model_before():
    scene = scene_of(private_size=256)
    nobody = scene.private.take(torch.tensor([], dtype=torch.long))
    assert same(unlearn("retrain", scene, nobody, scene.private, order="same"), scene.trained.state)


def test_nobody_left_in_the_same_order_is_the_pretrained_model():
    scene = scene_of(private_size=2, forget_size=2)
    assert same(unlearn("retrain", scene, order="same"), scene.trained.pretrained)


@pytest.mark.parametrize("training", ["converged", "sharded"])
def test_the_same_order_is_refused_where_no_minibatches_were_kept(training):
    with pytest.raises(ValueError, match="order: 'same' after training"):
        Spec(**SMALL, unlearning="retrain", training=training, order="same")
    scene = scene_of(training=training)
    with pytest.raises(ValueError, match="allowed: 'anew', or 'one_epoch'"):
        unlearn("retrain", scene, order="same")


def test_more_private_epochs_go_on_from_where_one_ends():
    one, two = (scene_of(private_epochs=n).trained for n in (1, 2))
    assert len(two.history) == 2
    assert same(two.history[0].after, one.state)
    assert not same(two.state, one.state)
