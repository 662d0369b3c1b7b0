"""What holds on a graphics card as on the CPU; skipped where there is none."""

import pytest
import torch

from uninv_lib import Spec, prepare, run
from uninv_lib.attacks import ATTACKS
from uninv_lib.attacks.exact.chain import chain_of
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.defenses import DEFENSES
from uninv_lib.measure import metric_of
from uninv_lib.options import options_of
from uninv_lib.spec import ASSUMPTIONS
from uninv_lib.unlearning import UNLEARNING
from uninv_lib.unlearning.needs import training_for

CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
)
SMALL = {"dataset": "digits", "width": 4, "budget": "smoke"}
NEEDS: dict[str, dict[str, object]] = {
    "analytic": {"model": "mlp", "width": None},
    "labels": {"probes": "gradient"},
}


def spec(device, **fields):
    words = {**SMALL, "device": device, **fields}
    return Spec(**{name: value for name, value in words.items() if value is not None})


@pytest.mark.slow
@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_runs_on_the_card_and_tells_the_same_label(device, attack):
    """The model is trained where it is attacked, and another for that: what a user's few probes
    tell, or a search solves, may differ.
    """
    known = [name for name in ATTACKS[attack].assumes if name in ASSUMPTIONS]
    needs: dict[str, object] = {"attack": attack, "knowledge": known, **NEEDS.get(attack, {})}
    here, there = (run(spec(where, **needs)).metrics for where in ("cpu", device))
    assert {metric_of(name)[0] for name in here.keys() ^ there.keys()} <= {"residual", "certified"}
    told = "label_accuracy_server" if attack == "labels" else "label_accuracy"
    assert here.get(told) == there.get(told)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize(
    ("unlearning", "defense"),
    [(unlearning, "none") for unlearning in UNLEARNING]
    + [("gradient_ascent", defense) for defense in DEFENSES if defense != "none"],
)
def test_models_stay_on_the_device(device, unlearning, defense):
    if defense == "dp_sgd":
        pytest.importorskip("opacus")
    options = {
        name: about.examples[len(about.examples) // 2] if about.examples else about.default
        for name, about in options_of(DEFENSES[defense]).items()
    }
    chosen = {"unlearning": unlearning, "training": training_for(unlearning), "defense": defense}
    scene = prepare(spec(device, **chosen, **options))
    view = scene.white_box()
    places = {t.device.type for state in (view.before, view.after) for t in state.values()}
    assert places == {device}


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_the_equations_of_a_net_stand_on_its_device_and_are_float64(device):
    chain = chain_of(inspect_view(prepare(spec(device)).white_box()))
    assert chain is not None
    tensors = [chain.features, chain.mean, *(block.slopes for block in chain.blocks)]
    assert {(t.device.type, t.dtype) for t in tensors} == {(device, torch.float64)}


@pytest.mark.parametrize("device", [CUDA])
def test_a_run_on_the_card_repeats(device):
    first, second = (run(spec(device)).metrics for _ in range(2))
    assert first["psnr"] == pytest.approx(second["psnr"], abs=0.5)
