"""What only the approximate methods promise: what they change, and that they forget and keep."""

from functools import lru_cache
from statistics import median

import pytest
import torch

from uninv_lib import Spec, prepare
from uninv_lib.models import predictor
from uninv_lib.training import evaluate, gradient, step
from uninv_lib.types import Split
from uninv_lib.unlearning import UNLEARNING
from uninv_lib.unlearning.bad_teacher import ignorant
from uninv_lib.unlearning.fisher import information_of
from uninv_lib.unlearning.orthogonal import rows_of_gradients, unfelt
from uninv_lib.unlearning.salun import salient
from uninv_lib.unlearning.steps import flat, minibatches, relabelled, shaped

SMALL = {"dataset": "digits", "budget": "smoke", "device": "cpu", "unlearning": "retrain"}


@lru_cache
def scene_of(request=0, **fields):
    return prepare(Spec(**{**SMALL, "width": 4, "request": request, **fields}))


def unlearn(method, scene, **options):
    rng = torch.Generator().manual_seed(0)
    return UNLEARNING[method](scene.trained, scene.forget, scene.retain, rng=rng, **options)


def change(scene, after):
    before = scene.trained.state
    return {n: after[n] - before[n] for n, _ in scene.trained.net.named_parameters()}


def confidence(scene, state):
    answers = predictor(scene.trained.net, state)(scene.forget.inputs)
    return answers.gather(1, scene.forget.labels[:, None]).mean().item()


CLIMBING = ["gradient_ascent", "neggrad_plus", "random_labels", "salun", "scrub", "bad_teacher"]


@pytest.mark.parametrize("method", [*CLIMBING, "orthogonal"])
def test_the_forgotten_sample_surprises_the_model_and_the_others_do_not(method):
    falls, kept = [], []
    for request in range(3):
        scene = scene_of(request)
        after, before = unlearn(method, scene), scene.trained.state
        falls.append(confidence(scene, before) - confidence(scene, after))
        retained = (evaluate(scene.trained.net, state, scene.retain) for state in (after, before))
        kept.append(next(retained) - next(retained))
    assert median(falls) > 1e-3
    assert median(kept) > -0.1


# gradient_ascent


def test_noise_in_the_steps_has_the_norm_that_is_asked_for():
    scene = scene_of()
    plain, noisy = (unlearn("gradient_ascent", scene, step_noise=s) for s in (0.0, 0.5))
    true, found = (flat(change(scene, after)) for after in (plain, noisy))
    assert ((found - true).norm() / true.norm()).item() == pytest.approx(0.5, rel=1e-3)
    bare = step(scene.trained.net, scene.trained.state, scene.forget, -1e-3)
    assert all(torch.equal(plain[name], bare[name]) for name in bare)


def test_noise_of_each_step_follows_that_steps_own_norm():
    scene = scene_of(dtype="float64")
    noisy = unlearn("gradient_ascent", scene, step_noise=1.0, unlearning_steps=40)
    plain = unlearn("gradient_ascent", scene, unlearning_steps=1)
    assert flat(change(scene, noisy)).norm() > 2 * flat(change(scene, plain)).norm()


# random_labels, salun


def test_a_wrong_label_is_drawn_from_all_other_classes(linear):
    same = Split(linear.forget.inputs.repeat(900, 1, 1, 1), linear.forget.labels.repeat(900))
    wrong = relabelled(linear.trained.net, linear.trained.state, same, torch.Generator())
    counts = torch.bincount(wrong.labels, minlength=10)
    assert counts[linear.forget.labels] == 0
    assert (counts > 60).sum() == 9


@pytest.mark.parametrize("share", [0.01, 0.5, 1])
def test_only_salient_weights_move(share):
    scene = scene_of()
    mask = flat(salient(scene.trained, scene.forget, share)).bool()
    moved = flat(change(scene, unlearn("salun", scene, saliency=share)))
    assert mask.sum() == round(share * len(mask))
    assert not moved[~mask].any()
    assert moved[mask].any()
    slopes = flat(gradient(scene.trained.net, scene.trained.state, scene.forget)).abs()
    assert share == 1 or slopes[mask].min() >= slopes[~mask].max()


# bad_teacher


def test_the_bad_teacher_is_drawn_from_the_generator_alone():
    trained = scene_of().trained
    first, second, other = (
        ignorant(trained.net, trained.state, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    names = [name for name, p in trained.net.named_parameters() if p.ndim > 1]
    assert all(torch.equal(first[name], second[name]) for name in names)
    assert not any(torch.equal(first[name], other[name]) for name in names)
    assert not any(torch.equal(first[name], trained.state[name]) for name in names)


# scrub


def test_scrub_without_max_steps_stays_with_its_teacher():
    scene = scene_of()
    options = {"max_steps": 0, "distillation_weight": 1.0}
    stayed, left = unlearn("scrub", scene, **options), unlearn("scrub", scene)
    assert flat(change(scene, stayed)).norm() < 1e-4 * flat(change(scene, left)).norm()


# fisher


def test_fisher_noise_scales_and_is_less_where_the_retained_samples_tell_more():
    scene = scene_of(dtype="float64")
    one, three = (flat(change(scene, unlearn("fisher", scene, fisher_noise=s))) for s in (1, 3))
    assert torch.allclose(three, 3 * one)
    told = flat(information_of(scene.trained, scene.retain))
    order = told.argsort()
    low, high = order[: len(order) // 10], order[-len(order) // 10 :]
    assert one[high].std() < 0.7 * one[low].std()


def test_the_information_is_the_mean_of_squared_slopes():
    scene = scene_of(dtype="float64", private_size=3)
    net, state = scene.trained.net, scene.trained.state
    each = [scene.retain.take(torch.tensor([i])) for i in range(2)]
    true = sum(flat(gradient(net, state, sample)).square() for sample in each) / 2
    assert torch.allclose(flat(information_of(scene.trained, scene.retain)), true)


# orthogonal


def test_an_orthogonal_step_has_no_product_with_any_protected_gradient():
    scene = scene_of(dtype="float64")
    moved = flat(change(scene, unlearn("orthogonal", scene, unlearning_steps=1)))
    rows = rows_of_gradients(scene.trained, scene.trained.state, scene.retain)
    assert rows.shape[0] == 31
    products = rows @ moved / (rows.norm(dim=1) * moved.norm())
    assert products.abs().max() < 1e-10
    slopes = flat(gradient(scene.trained.net, scene.trained.state, scene.forget))
    assert torch.dot(slopes, moved) > 0, "it climbs all the same"


def test_an_orthogonal_step_that_protects_nobody_is_gradient_ascent():
    scene = scene_of(dtype="float64")
    steps = {"unlearning_rate": 1e-3, "unlearning_steps": 3}
    free = unlearn("orthogonal", scene, protected=0, **steps)
    plain = unlearn("gradient_ascent", scene, **steps)
    assert all(torch.allclose(free[name], plain[name], atol=1e-12) for name in plain)


# What they share


def test_minibatches_pass_over_all_samples_in_turn(linear, rng):
    found = minibatches(linear.retain, 10, 7, rng)
    assert [len(batch) for batch in found] == [10, 10, 10, 1, 10, 10, 10]
    once = torch.cat([batch.inputs for batch in found[:4]]).flatten(1)
    assert len(once.unique(dim=0)) == len(linear.retain.inputs.flatten(1).unique(dim=0))
    assert minibatches(linear.retain, None, 2, rng) == [linear.retain] * 2


def test_slopes_flattened_are_cut_again_as_they_were(linear):
    slopes = gradient(linear.trained.net, linear.trained.state, linear.forget)
    again = shaped(flat(slopes), slopes)
    assert all(torch.equal(again[name], slopes[name]) for name in slopes)


def test_a_direction_that_is_there_twice_takes_no_more_away():
    generator = torch.Generator().manual_seed(0)
    vector, row = torch.randn(2, 8, generator=generator, dtype=torch.double)
    once = unfelt(vector, row[None])
    assert torch.allclose(unfelt(vector, row.repeat(3, 1)), once)
    assert torch.equal(unfelt(vector, torch.zeros(2, 8, dtype=torch.double)), vector)
