"""One table of defenses × one contract, and what an attacker gains who knows of each."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from pydantic import ValidationError

from uninv_lib import Spec, prepare
from uninv_lib.attacks.adaptive import ADAPTIVE, assumed
from uninv_lib.attacks.search.update import difference
from uninv_lib.defenses import DEFENSES
from uninv_lib.defenses.dp_sgd import epsilon
from uninv_lib.defenses.parts import flat, needed, update_of
from uninv_lib.experiment import attack, run
from uninv_lib.options import options_of
from uninv_lib.training import fine_tune
from uninv_lib.unlearning import UNLEARNING

NETS: dict[str, dict[str, object]] = {
    "linear": {"model": "linear"},
    "mlp": {"model": "mlp", "width": 2},
    "convnet": {"model": "convnet", "width": 4},
}
STRONG = {"decoys": 2, "top_k": 0.9, "rounding": 3, "fine_tuning": 5, "projection": 1, "cosine": 60}
"""Of some defenses, a strength to try; of the others the middle one of their examples."""
defending = pytest.mark.parametrize("defense", [name for name in DEFENSES if name != "none"])


def strength_of(defense):
    examples = options_of(DEFENSES[defense])["strength"].examples
    return STRONG.get(defense, examples[len(examples) // 2])


@cache
def open_scene(net, forgotten=1, request=0):
    fields: dict[str, object] = {"dataset": "digits", "budget": "smoke", "device": "cpu"}
    return prepare(Spec(**fields | NETS[net], forget_size=forgotten, request=request))


def guarded(scene, defense, seed=0, **options):
    about = options_of(DEFENSES[defense])
    chosen = {n: a.default for n, a in about.items() if not a.is_required()}
    chosen |= {"strength": strength_of(defense)} | options
    rng = torch.Generator().manual_seed(seed)
    return DEFENSES[defense](scene.unlearned, scene.trained, scene.retain, rng=rng, **chosen)


def copied(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def equal(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


def view_of(scene, defense, after):
    """The view of who is told what the attacker who knows of this defense assumes."""
    given = {"strength": strength_of(defense), "public": scene.dataset.public.inputs}
    told = {name: given[name] for name in assumed(defense)}
    return replace(scene.white_box(), after=after, **told)


def cosine(view, scene):
    seen, true = (
        flat(difference(scene.trained.net, scene.trained.state, after).values())
        for after in (view.after, scene.unlearned)
    )
    return torch.cosine_similarity(seen, true, dim=0).item()


# The contract


@defending
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("forgotten", [1, 3])
def test_a_defense_gives_a_new_whole_state_for_each_net_and_repeats(defense, net, forgotten):
    scene = open_scene(net, forgotten)
    kept = [copied(s) for s in (scene.unlearned, scene.trained.state, scene.trained.pretrained)]
    found = guarded(scene, defense)
    assert {n: (t.shape, t.dtype) for n, t in found.items()} == {
        n: (t.shape, t.dtype) for n, t in scene.unlearned.items()
    }
    assert all(torch.isfinite(t).all() for t in found.values())
    assert not equal(found, scene.unlearned)
    assert equal(found, guarded(scene, defense))
    buffers = [name for name, _ in scene.trained.net.named_buffers()]
    assert all(torch.equal(found[name], scene.unlearned[name]) for name in buffers)
    now = (scene.unlearned, scene.trained.state, scene.trained.pretrained)
    assert all(equal(old, new) for old, new in zip(kept, now, strict=True))


@defending
def test_strength_zero_changes_nothing(defense):
    scene = open_scene("mlp")
    assert equal(guarded(scene, defense, strength=0), scene.unlearned)


@defending
@pytest.mark.parametrize("strength", [float("nan"), float("inf"), -1, 10**7])
def test_a_spec_refuses_a_strength_that_means_nothing_and_names_it(defense, strength):
    if strength == 10**7 and defense in ("obfuscation", "rounding", "dp_sgd"):
        pytest.skip("has no upper bound")
    with pytest.raises(ValidationError, match="strength"):
        Spec(dataset="digits", defense=defense, strength=strength)


# What only one of them promises


def test_signs_alone_are_left_of_a_whole_sign_compression():
    scene = open_scene("mlp")
    moved = update_of(guarded(scene, "sign", strength=1), scene.trained)
    true = update_of(scene.unlearned, scene.trained)
    for name, u in moved.items():
        some = u[true[name] != 0].abs()
        assert some.max() < 1.01 * some.min()
        assert torch.allclose(u.abs().mean(), true[name].abs().mean(), rtol=1e-3)


def test_top_k_releases_the_largest_entries_alone():
    scene = open_scene("mlp")
    moved, true = (
        flat(update_of(state, scene.trained).values())
        for state in (guarded(scene, "top_k", strength=0.9), scene.unlearned)
    )
    assert (moved != 0).double().mean() == pytest.approx(0.1, abs=0.01)
    assert true[moved == 0].abs().max() <= true[moved != 0].abs().min()


def test_sixteen_dropped_digits_are_bfloat16():
    scene = open_scene("convnet")
    found = guarded(scene, "precision", strength=16)
    for name, _ in scene.trained.net.named_parameters():
        assert torch.equal(found[name], scene.unlearned[name].bfloat16().float())


def test_a_whole_projection_and_a_rotation_spare_the_retained():
    scene = open_scene("mlp")
    rows = needed(scene.trained, scene.retain, torch.Generator().manual_seed(0))
    true = flat(update_of(scene.unlearned, scene.trained).values())
    gone = flat(update_of(guarded(scene, "projection", strength=1), scene.trained).values())
    assert (rows @ gone).norm() < 0.02 * (rows @ true).norm()
    turned = flat(update_of(guarded(scene, "cosine", strength=60), scene.trained).values())
    assert turned.norm() == pytest.approx(true.norm().item(), rel=1e-3)
    assert torch.cosine_similarity(turned, true, dim=0).item() == pytest.approx(0.5, abs=1e-3)
    assert torch.allclose(rows @ turned, rows @ true / 2, atol=2e-2 * (rows @ true).norm().item())


def test_dp_sgd_without_noise_and_without_a_clip_is_fine_tuning():
    scene = open_scene("mlp")
    found = guarded(scene, "dp_sgd", strength=1e-30, dp_clip=1e9, dp_epochs=3)
    rng, net = torch.Generator().manual_seed(0), scene.trained.net
    size = scene.trained.batch_size
    plain = fine_tune(net, scene.unlearned, scene.retain, rng=rng, epochs=3, batch_size=size)
    assert len(scene.retain) <= size
    for name in plain:
        assert torch.allclose(found[name], plain[name], atol=1e-6)


def test_epsilon_falls_with_the_noise_and_grows_with_the_epochs():
    assert epsilon(3, 31, 128) < epsilon(1, 31, 128) < epsilon(1, 31, 128, epochs=5)
    assert epsilon(1, 1000, 128) < epsilon(1, 1000, 1000, epochs=8)
    spec = Spec(dataset="digits", model="linear", budget="smoke", defense="dp_sgd", strength=3)
    assert run(spec).metrics["epsilon"] == pytest.approx(epsilon(3, 31, 128))


def test_a_label_that_is_smoothed_moves_the_ascent():
    scene = open_scene("mlp")
    given = scene.trained, scene.forget, scene.retain
    plain, none, some = (
        UNLEARNING["gradient_ascent"](*given, rng=torch.Generator(), **options)
        for options in ({}, {"label_smoothing": 0.0}, {"label_smoothing": 0.2})
    )
    assert equal(plain, none)
    assert not equal(plain, some)


# Who knows of it


@pytest.mark.parametrize("defense", ADAPTIVE)
@pytest.mark.parametrize("net", NETS)
def test_who_knows_mutates_nothing_and_takes_an_open_update_as_it_is(defense, net):
    scene = open_scene(net)
    view = view_of(scene, defense, guarded(scene, defense))
    before, after = copied(view.before), copied(view.after)
    ADAPTIVE[defense](view)
    assert equal(view.before, before)
    assert equal(view.after, after)
    plain = replace(view, after=scene.unlearned, strength=None)
    assert cosine(ADAPTIVE[defense](plain), scene) > 0.999


NEARER = ("obfuscation", "pruning", "sign", "rounding", "precision", "cosine")
"""Whose update is a number closer to the true one, in each of these nets, to who knows."""


@pytest.mark.parametrize("defense", NEARER)
@pytest.mark.parametrize("net", NETS)
def test_who_knows_is_nearer_to_the_true_update(defense, net):
    naive, knows = [], []
    for request in range(4):
        scene = open_scene(net, request=request)
        view = view_of(scene, defense, guarded(scene, defense))
        naive.append(cosine(view, scene))
        knows.append(cosine(ADAPTIVE[defense](view), scene))
    assert sum(knows) > sum(naive)


@pytest.mark.parametrize("defense", ADAPTIVE)
def test_who_knows_recovers_no_less(defense):
    gains = []
    fields = {"dataset": "digits", "model": "mlp", "width": 8, "budget": "smoke", "device": "cpu"}
    for request in range(8):
        spec = Spec(**fields, request=request, defense=defense, strength=strength_of(defense))
        found = run(spec).metrics
        gains.append(found["gain_adaptive"] - found["gain"])
    assert sum(gains) / len(gains) > -0.5, gains


def test_decoys_are_told_apart_and_the_null_baselines_guess_as_often():
    fields = {"dataset": "digits", "model": "mlp", "width": 8, "budget": "smoke", "device": "cpu"}
    found = run(Spec(**fields, defense="decoys", strength=2)).metrics
    assert found["psnr_random_adaptive"] >= found["psnr_random"] - 3
    assert found["psnr_max_diff_adaptive"] >= found["psnr_max_diff"]
    assert found["gain_adaptive"] == found["psnr_adaptive"] - max(
        found[f"psnr_{null}_adaptive"] for null in ("random", "class_mean", "max_diff")
    )


def test_further_releases_are_averaged():
    fields = {"dataset": "digits", "model": "mlp", "width": 2, "budget": "smoke"}
    spec = Spec(**fields, defense="obfuscation", strength=3)
    one, several = prepare(spec), prepare(spec.but(knowledge="releases"))
    assert len(several.white_box().releases) == 7
    assert cosine(several.knowing(), several) > cosine(one.knowing(), one) + 0.1


@pytest.mark.parametrize("defense", ["sign", "top_k"])
def test_a_defended_model_is_attacked_by_who_knows_how_training_began(defense):
    fields = {"dataset": "digits", "model": "linear", "budget": "smoke", "unlearning": "retrain"}
    fields |= {"knowledge": "pretrained,private_size", "defense": defense, "device": "cpu"}
    for seed in (1, 2):
        assert "gain" in run(Spec(**fields, strength=0.9, seed=seed)).metrics


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_labels_are_told_to_who_knows_of_them(smoothing):
    fields = {"dataset": "digits", "model": "mlp", "width": 8, "attack": "labels", "device": "cpu"}
    fields |= {"probes": "public", "score": "log_odds", "label_smoothing": smoothing}
    found = [run(Spec(**fields, request=i)).metrics for i in range(4)]
    for user in ("", "_server"):
        assert not any(one[f"label_accuracy{user}"] for one in found), "a step up raises the class"
        assert sum(one[f"label_accuracy{user}_adaptive"] for one in found) >= 3
    assert "label_accuracy_adaptive" not in run(Spec(**fields | {"label_smoothing": 0})).metrics


def test_a_grid_is_read_off_the_released_numbers():
    scene = open_scene("convnet")
    seen = guarded(scene, "rounding", strength=10)
    view = view_of(scene, "rounding", seen)
    knows = ADAPTIVE["rounding"](view)
    step = 10 * flat(update_of(scene.unlearned, scene.trained).values()).square().mean().sqrt()
    for name, _ in scene.trained.net.named_parameters():
        assert (knows.after[name] - seen[name]).abs().max() <= 0.51 * step


def test_more_decoys_than_an_attack_tells_apart_leave_it_what_it_finds_without():
    fields = {"dataset": "digits", "model": "linear", "budget": "smoke", "attack": "analytic"}
    scene = prepare(Spec(**fields, defense="decoys", strength=15))
    with pytest.raises(ValueError, match="analytic"):
        attack(scene, knows=True)
    found = run(scene.spec).metrics
    assert found["gain_adaptive"] == found["gain"]
