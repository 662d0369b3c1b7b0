"""One table of methods × one contract: every unlearning method, defense and attack keeps the same
promises.
"""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from uninv_lib import Spec, prepare, run
from uninv_lib.attacks import infer_labels, make_probes, recover_features
from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.attacks.labels.answers import SCORES
from uninv_lib.attacks.labels.probes import METHODS
from uninv_lib.attacks.search.presets import PRESETS
from uninv_lib.attacks.search.update import difference
from uninv_lib.defenses import DEFENSES
from uninv_lib.experiment import PROBES, RECOVERY, recover_or_grey
from uninv_lib.models import MODELS
from uninv_lib.scene import EPOCHS
from uninv_lib.spec import (
    DefenseName,
    ModelName,
    PresetName,
    ProbesName,
    ScoreName,
    TrainingName,
    UnlearningName,
)
from uninv_lib.unlearning import UNLEARNING


def copy(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def same(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


def unlearn(method, scene, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return UNLEARNING[method](
        scene.trained, scene.forget, scene.retain, rng=rng, unlearning_rate=0.01
    )


def defend(method, scene, strength=0.5, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return DEFENSES[method](
        scene.unlearned, scene.trained, scene.retain, rng=rng, strength=strength
    )


STRENGTH = {"obfuscation": 0.5, "pruning": 0.5, "fine_tuning": 1}


def test_every_name_of_a_spec_has_a_method_and_every_method_a_name():
    assert set(UNLEARNING) == set(get_args(UnlearningName))
    assert {*DEFENSES, "none"} == set(get_args(DefenseName))
    assert set(MODELS) == set(get_args(ModelName))
    assert set(PRESETS) == set(get_args(PresetName))
    assert set(METHODS) == set(get_args(ProbesName))
    assert set(SCORES) == set(get_args(ScoreName))
    assert (
        set(EPOCHS)
        == set(PROBES)
        == set(RECOVERY)
        == set(get_args(Spec.model_fields["budget"].annotation))
    )


@pytest.mark.parametrize("method", UNLEARNING)
def test_unlearning_returns_a_new_whole_state_and_changes_nothing_else(method, convnet):
    before, pretrained = copy(convnet.trained.state), copy(convnet.trained.pretrained)
    weights, samples = copy(convnet.trained.net.state_dict()), convnet.forget.inputs.clone()
    after = unlearn(method, convnet)
    assert set(after) == set(before)
    assert all(after[name].shape == before[name].shape for name in before)
    assert all(torch.isfinite(t).all() for t in after.values() if t.is_floating_point())
    assert not same(after, before)
    assert same(convnet.trained.state, before)
    assert same(convnet.trained.pretrained, pretrained)
    assert same(convnet.trained.net.state_dict(), weights)
    assert torch.equal(convnet.forget.inputs, samples)


@pytest.mark.parametrize("method", UNLEARNING)
def test_unlearning_repeats_bit_for_bit_and_leaves_buffers_alone(method, convnet):
    first, second = unlearn(method, convnet), unlearn(method, convnet)
    assert same(first, second)
    assert all(
        torch.equal(first[n], convnet.trained.state[n])
        for n, _ in convnet.trained.net.named_buffers()
    )


@pytest.mark.parametrize("method", DEFENSES)
def test_a_defense_returns_a_new_whole_state_and_changes_nothing_else(method, convnet):
    released = copy(convnet.unlearned)
    defended = defend(method, convnet, STRENGTH[method])
    assert {n: t.shape for n, t in defended.items()} == {n: t.shape for n, t in released.items()}
    assert not same(defended, released)
    assert same(convnet.unlearned, released)
    assert same(defended, defend(method, convnet, STRENGTH[method]))


@pytest.mark.parametrize("method", DEFENSES)
def test_a_defense_of_strength_zero_does_nothing(method, convnet):
    assert same(defend(method, convnet, 0), convnet.unlearned)


@pytest.mark.parametrize(
    ("method", "strength"), [("pruning", 1.0), ("pruning", -0.1), ("fine_tuning", 1.5)]
)
def test_a_defense_refuses_a_strength_that_means_nothing(method, strength, convnet):
    with pytest.raises(ValueError, match=r"strength: .*; allowed"):
        defend(method, convnet, strength)


@pytest.mark.parametrize("defense", ADAPTIVE)
def test_an_adaptive_attacker_knows_more_of_a_defended_update_and_nothing_else_of_an_open_one(
    defense, convnet
):
    defended = replace(convnet.white_box(), after=defend(defense, convnet, STRENGTH[defense]))
    true = torch.cat(
        [
            t.flatten()
            for t in difference(convnet.trained.net, defended.before, convnet.unlearned).values()
        ]
    )

    def cosine(view):
        seen = torch.cat(
            [t.flatten() for t in difference(view.net, view.before, view.after).values()]
        )
        return torch.cosine_similarity(seen, true, dim=0).item()

    before = copy(defended.after)
    knowing = ADAPTIVE[defense](defended)
    assert cosine(knowing) > cosine(defended) + 0.3
    assert same(defended.after, before)
    assert same(ADAPTIVE[defense](convnet.white_box()).after, convnet.unlearned)


def test_pruned_weights_of_a_linear_layer_follow_from_those_that_remain(linear):
    defended = replace(linear.white_box(), after=defend("pruning", linear, 0.5))
    seen = ADAPTIVE["pruning"](defended)
    weight = next(name for name, tensor in defended.after.items() if tensor.ndim == 2)
    told = (defended.after[weight] != 0).any(0)  # by a unit at least
    true, found = (
        after[weight][:, told] - defended.before[weight][:, told]
        for after in (linear.unlearned, seen.after)
    )
    assert (defended.after[weight][:, told] == 0).double().mean() > 0.2
    assert (found - true).norm() / true.norm() < 0.1


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "analytic"])
@pytest.mark.parametrize("forgotten", [1, 2])
def test_recovery_returns_pictures_in_range_and_repeats(preset, forgotten, convnet):
    scene = prepare(convnet.spec.but(forget_size=forgotten))
    view = replace(
        scene.white_box(), labels=scene.forget.labels, public=scene.dataset.public.inputs
    )
    before, after = copy(view.before), copy(view.after)

    def attack():
        rng = torch.Generator().manual_seed(1)
        return recover_features(view, rng=rng, preset=preset, iterations=30, restarts=2, rounds=1)

    first, second = attack(), attack()
    assert first.inputs.shape == scene.forget.inputs.shape
    assert first.inputs.min() >= 0
    assert first.inputs.max() <= 1
    assert len(first.labels) == forgotten
    assert torch.equal(first.inputs, second.inputs)
    assert not first.inputs.requires_grad
    assert same(view.before, before)
    assert same(view.after, after)


@pytest.mark.parametrize("method", METHODS)
def test_probes_are_what_the_model_takes_for_their_class(method, linear, rng):
    view = linear.black_box()
    probes = make_probes(
        view.before,
        view.num_classes,
        view.input_shape,
        rng=rng,
        method=method,
        count=2,
        public=linear.dataset.public.inputs,
    )
    assert probes.shape == (10, 2, 1, 8, 8)
    assert probes.min() >= 0
    assert probes.max() <= 1
    assert torch.equal(
        view.before(probes.flatten(0, 1)).argmax(1), torch.arange(10).repeat_interleave(2)
    )
    for score in SCORES:
        scores = infer_labels(view, probes, score=score)
        assert sorted(scores.ranked.tolist()) == list(range(10))
        assert scores.queries == 40


@pytest.mark.parametrize("unlearning", UNLEARNING)
@pytest.mark.parametrize("defense", ["none", *DEFENSES])
@pytest.mark.parametrize("attack", ["features", "labels"])
@pytest.mark.parametrize("training", get_args(TrainingName))
def test_every_combination_runs_and_repeats_bit_for_bit(unlearning, defense, attack, training):
    spec = Spec(
        dataset="digits",
        model="linear",
        budget="smoke",
        unlearning=unlearning,
        defense=defense,
        strength=STRENGTH.get(defense, 0),
        attack=attack,
        training=training,
        probes="gradient",
    )
    first, second = run(spec), run(spec)
    assert first.metrics == second.metrics
    assert first.model_validate_json(first.model_dump_json()) == first


def test_an_update_lost_in_rounding_is_answered_with_grey(linear, rng):
    view = replace(linear.white_box(), after=linear.white_box().before)
    found = recover_or_grey(view, rng=rng)
    assert torch.equal(found.inputs, torch.full_like(linear.forget.inputs, 0.5))
    assert found.labels.tolist() == [-1]
