"""One table of methods × one contract: every unlearning method, defense and attack keeps the same
promises.
"""

import contextlib
import dataclasses
import inspect
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, product
from typing import get_args, get_type_hints

import pytest
import torch
from annotated_types import Le, Lt
from pydantic.fields import FieldInfo

from uninv_lib import Spec, prepare, run
from uninv_lib.attacks import ATTACKS, Session, infer_labels, make_probes
from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.attacks.labels.answers import SCORES
from uninv_lib.attacks.labels.probes import METHODS
from uninv_lib.attacks.search.update import difference
from uninv_lib.defenses import DEFENSES
from uninv_lib.experiment import recover_or_grey
from uninv_lib.measure import metric_of, metrics_of
from uninv_lib.methods import TABLES
from uninv_lib.options import options_of
from uninv_lib.scene import EPOCHS
from uninv_lib.spec import ASSUMPTIONS, Record
from uninv_lib.training import TRAINING
from uninv_lib.types import BlackBoxView, Reconstruction, Shadows, WhiteBoxView
from uninv_lib.unlearning import NEEDS, UNLEARNING
from uninv_lib.unlearning.needs import training_for


def copy(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def same(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


@lru_cache
def trained_for(method):
    """A scene of a small convnet, trained as the unlearning method needs it."""
    training = training_for(method)
    return prepare(
        Spec(dataset="digits", width=4, budget="smoke", training=training, unlearning="retrain")
    )


def unlearn(method, scene, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return UNLEARNING[method](scene.trained, scene.forget, scene.retain, rng=rng)


def defend(method, scene, seed=0, **options):
    rng = torch.Generator().manual_seed(seed)
    options = sample(DEFENSES[method]) | options
    return DEFENSES[method](scene.unlearned, scene.trained, scene.retain, rng=rng, **options)


def sample(function):
    """Options that show what a method does: the middle one of their examples, or the default."""
    return {
        name: about.examples[len(about.examples) // 2] if about.examples else about.default
        for name, about in options_of(function).items()
    }


RECOVERIES = [
    name
    for name, attack in ATTACKS.items()
    if get_type_hints(attack.function)["return"] is Reconstruction
]
DEFENDING = [name for name in DEFENSES if name != "none"]


@pytest.mark.parametrize("field", TABLES)
def test_every_option_is_described_and_has_a_default_or_examples(field):
    for entry in TABLES[field].values():
        for name, about in options_of(getattr(entry, "function", entry)).items():
            assert about.description, name
            assert about.examples or not about.is_required(), name
            if int in (about.annotation, *get_args(about.annotation)):  # which torch must hold
                assert any(isinstance(bound, (Le, Lt)) for bound in about.metadata), name


@pytest.mark.parametrize("method", UNLEARNING)
def test_unlearning_returns_a_new_whole_state_and_changes_nothing_else(method):
    scene = trained_for(method)
    before, pretrained = copy(scene.trained.state), copy(scene.trained.pretrained)
    weights, samples = copy(scene.trained.net.state_dict()), scene.forget.inputs.clone()
    recorded = [(copy(step.before), copy(step.after)) for step in scene.trained.history]
    after = unlearn(method, scene)
    assert set(after) == set(before)
    assert all(after[name].shape == before[name].shape for name in before)
    assert all(torch.isfinite(t).all() for t in after.values() if t.is_floating_point())
    assert not same(after, before)
    assert same(scene.trained.state, before)
    assert same(scene.trained.pretrained, pretrained)
    assert same(scene.trained.net.state_dict(), weights)
    assert torch.equal(scene.forget.inputs, samples)
    for step, (old, new) in zip(scene.trained.history, recorded, strict=True):
        assert same(step.before, old)
        assert same(step.after, new)


@pytest.mark.parametrize("method", UNLEARNING)
def test_unlearning_repeats_bit_for_bit_and_leaves_buffers_alone(method):
    trained = trained_for(method).trained
    torch.manual_seed(1)
    first = unlearn(method, trained_for(method))
    torch.manual_seed(2)
    assert same(first, unlearn(method, trained_for(method)))
    assert all(torch.equal(first[n], trained.state[n]) for n, _ in trained.net.named_buffers())


@pytest.mark.parametrize("method", DEFENDING)
def test_a_defense_returns_a_new_whole_state_and_changes_nothing_else(method, convnet):
    released = copy(convnet.unlearned)
    defended = defend(method, convnet)
    assert {n: t.shape for n, t in defended.items()} == {n: t.shape for n, t in released.items()}
    assert not same(defended, released)
    assert same(convnet.unlearned, released)
    assert same(defended, defend(method, convnet))


@pytest.mark.parametrize("method", DEFENSES)
def test_a_defense_of_strength_zero_does_nothing(method, convnet):
    if "strength" in options_of(DEFENSES[method]):
        assert same(defend(method, convnet, strength=0), convnet.unlearned)


@pytest.mark.parametrize(
    ("method", "strength"), [("pruning", 1.0), ("pruning", -0.1), ("fine_tuning", 1.5)]
)
def test_a_defense_refuses_a_strength_that_means_nothing(method, strength, convnet):
    with pytest.raises(ValueError, match=r"strength: .*; allowed"):
        defend(method, convnet, strength=strength)


def test_who_knows_of_pruning_knows_more_of_a_pruned_update_and_nothing_else_of_an_open_one(
    convnet,
):
    defended = replace(convnet.white_box(), after=defend("pruning", convnet))
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
    knowing = ADAPTIVE["pruning"](defended)
    assert cosine(knowing) > cosine(defended) + 0.3
    assert same(defended.after, before)
    assert same(ADAPTIVE["pruning"](convnet.white_box()).after, convnet.unlearned)


def test_pruned_weights_of_a_linear_layer_follow_from_those_that_remain(linear):
    defended = replace(linear.white_box(), after=defend("pruning", linear, strength=0.5))
    seen = ADAPTIVE["pruning"](defended)
    weight = next(name for name, tensor in defended.after.items() if tensor.ndim == 2)
    told = (defended.after[weight] != 0).any(0)  # by a unit at least
    true, found = (
        after[weight][:, told] - defended.before[weight][:, told]
        for after in (linear.unlearned, seen.after)
    )
    assert (defended.after[weight][:, told] == 0).double().mean() > 0.2
    assert (found - true).norm() / true.norm() < 0.1


def sees(name):
    """The type of the view that an attack of this name receives."""
    return next(iter(get_type_hints(ATTACKS[name].function).values()))


def with_assumed(view, name, scene):
    answers = torch.full((4, 10), 0.1)
    shadows = Shadows(answers, answers, torch.arange(4) < 2)
    known = {"labels": scene.forget.labels, "public": scene.dataset.public.inputs}
    known |= {"shadows": shadows, "candidates": scene.forget.inputs}
    return replace(view, **{field: known[field] for field in ATTACKS[name].assumes})


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_have_one_shape(name):
    function = ATTACKS[name].function
    first, *others = inspect.signature(function).parameters.values()
    assert first.name == "view"
    assert sees(name) in (WhiteBoxView, BlackBoxView)
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in others)
    assert [parameter.name for parameter in others[:2]] == ["session", "budget"]
    fields = {field.name for field in dataclasses.fields(sees(name)) if field.default is None}
    assert set(ATTACKS[name].assumes) <= fields
    hints = get_type_hints(function, include_extras=True)
    for option in others[2:]:
        assert any(isinstance(part, FieldInfo) for part in hints[option.name].__metadata__)


@pytest.mark.parametrize("name", [name for name in ATTACKS if ATTACKS[name].assumes])
def test_an_attack_says_what_it_assumes(name, convnet, rng):
    view = convnet.white_box() if sees(name) is WhiteBoxView else convnet.black_box()
    for field in ATTACKS[name].assumes:
        lacking = replace(with_assumed(view, name, convnet), **{field: None})
        with pytest.raises(ValueError, match=rf"view.{field}: None; attack '{name}' assumes"):
            ATTACKS[name].function(lacking, session=Session([rng]), budget="smoke")


@pytest.mark.parametrize("budget", EPOCHS)
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_knows_every_budget(name, budget, linear, rng, monkeypatch):
    view = linear.white_box() if sees(name) is WhiteBoxView else linear.black_box()
    steps = []

    def stop(session, most, work):
        steps.append(most)
        raise InterruptedError

    monkeypatch.setattr(Session, "steps", stop)
    session = Session([rng])
    with contextlib.suppress(InterruptedError):
        ATTACKS[name].function(with_assumed(view, name, linear), session=session, budget=budget)
    assert len(steps) == (name in ("paper", "second_order", "labels"))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECOVERIES if name != "analytic"])
@pytest.mark.parametrize("forgotten", [1, 2])
def test_recovery_returns_pictures_in_range_and_repeats(name, forgotten, convnet):
    scene = prepare(convnet.spec.but(width=2, forget_size=forgotten))
    view = with_assumed(scene.white_box(), name, scene)
    before, after = copy(view.before), copy(view.after)

    def attack():
        session = Session([torch.Generator().manual_seed(1)])
        return ATTACKS[name].function(view, session=session, budget="smoke")

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
    public = linear.dataset.public.inputs
    probes = make_probes(replace(view, public=public), rng=rng, method=method, count=2)
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


ATTACKERS = ["fast", "labels"]


def pairwise():
    """(unlearning, defense, attack, training): each method of one field with each of another that
    it goes with, once at least, in place of the product of all.
    """
    for i, unlearning in enumerate(UNLEARNING):
        trainings = [*NEEDS.get(unlearning, TRAINING)]
        for j in range(max(len(DEFENSES), len(trainings))):
            defense = [*DEFENSES][j % len(DEFENSES)]
            training = trainings[(i + j) % len(trainings)]
            yield unlearning, defense, ATTACKERS[(i + j // 2) % 2], training


def test_the_combinations_hold_every_pair():
    rows = [*pairwise()]
    fields = [UNLEARNING, DEFENSES, ATTACKERS, TRAINING]
    for (i, one), (j, other) in combinations(enumerate(fields), 2):
        there = {(row[i], row[j]) for row in rows}
        wanted = {
            (a, b)
            for a, b in product(one, other)
            if (i, j) != (0, 3) or b in NEEDS.get(a, TRAINING)
        }
        assert wanted == there


@pytest.mark.slow
@pytest.mark.parametrize(("unlearning", "defense", "attack", "training"), [*pairwise()])
def test_every_combination_runs_and_repeats_bit_for_bit(unlearning, defense, attack, training):
    chosen = {"unlearning": unlearning, "defense": defense, "attack": attack, "training": training}
    spec = Spec(**SMALL, **chosen, **sample(DEFENSES[defense]))
    first, second = run(spec), run(spec)
    assert first.metrics == second.metrics
    assert Record.model_validate_json(first.model_dump_json()) == first


SMALL = {"dataset": "digits", "model": "linear", "budget": "smoke", "device": "cpu"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_runs_with_what_it_assumes_and_gives_its_metrics(attack):
    known = [name for name in ATTACKS[attack].assumes if name in ASSUMPTIONS]
    found = run(Spec(**SMALL, attack=attack, knowledge=known)).metrics
    given = get_type_hints(ATTACKS[attack].function)["return"]
    # of larger pictures, of one attack, of what was solved, of one defense
    conditional = {"ssim", "feature_cosine", "residual", "certified", "epsilon"}
    told = {metric_of(name)[0] for name in found}
    assert set(metrics_of(given)) - conditional <= told <= set(metrics_of(given))


def test_an_update_lost_in_rounding_is_answered_with_grey(linear, rng):
    view = replace(linear.white_box(), after=linear.white_box().before)
    found = recover_or_grey(view, rng=rng)
    assert torch.equal(found.inputs, torch.full_like(linear.forget.inputs, 0.5))
    assert found.labels.tolist() == [-1]
