import json

import pytest
import torch
from click.testing import CliRunner
from pydantic import ValidationError

from uninv_lib import Record, Spec, prepare
from uninv_lib.__main__ import main
from uninv_lib.data import load
from uninv_lib.models import build
from uninv_lib.results import RESULTS
from uninv_lib.scene import choose, device_of, pretrain
from uninv_lib.spec import explain, known_fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "cats"}, "unknown dataset 'cats'; allowed: digits"),
        ({"unlerning": "retrain"}, "unknown field 'unlerning'; did you mean 'unlearning'"),
        (
            {"unlearning": "forget"},
            "unknown unlearning 'forget'; allowed: retrain, gradient_ascent",
        ),
        ({"unlearning": 3}, "valid string"),
        ({"unlearning_rate": -1}, "greater than 0"),
        ({"unlearning_rate": float("nan")}, "finite"),
        ({"seed": "three"}, "valid integer"),
        ({"forget_size": 33}, "forget_size: 33; allowed: 1 to private_size = 32"),
        ({"forget_share": 0.5, "forget_size": 2}, "allowed: one of the two"),
        (
            {"unlearning": "retrain", "unlearning_rate": 1},
            "unlearning_rate\n  an option of unlearning 'gradient_ascent' and .*, not of 'retrain'",
        ),
        (
            {"model": "linear", "width": 8},
            "an option of model 'mlp' and 'convnet' and 'resnet18' and 'vgg16', not of 'linear'",
        ),
        ({"probes": "zoo"}, "an option of attack 'labels', not of 'fast'"),
        ({"defense": "pruning"}, "Field required for defense 'pruning'"),
        ({"strength": 1}, "less than or equal to 0 for defense 'none'"),
        ({"defense": "pruning", "strength": 1}, "less than 1 for defense 'pruning'"),
        ({"defense": "fine_tuning", "strength": 1.5}, "valid integer.* for defense 'fine_tuning'"),
        ({"preset": "paper"}, "is 'attack' since version 0.2"),
        ({"attack": "paper"}, "attack 'paper' assumes labels: add 'labels'"),
        ({"attack": "second_order"}, "attack 'second_order' assumes public: add 'public'"),
        (
            {"knowledge": "weight_decay"},
            "'weight_decay', which this run has not; allowed: with 'converged'",
        ),
        ({"training": "twice"}, "unknown training 'twice'; allowed: one_epoch, converged"),
        ({"training": "converged", "weight_decay": 0}, "greater than 0"),
        ({"knowledge": "pretrained"}, "serve together only"),
        (
            {"knowledge": "everything"},
            "unknown assumption 'everything'; allowed: labels, pretrained",
        ),
        ({"knowledge": None}, "knowledge\n  allowed: a list of names, or none, of labels"),
        ({"knowledge": [["labels"]]}, "unknown assumption"),
        ({"dataset": "digits:"}, "unknown dataset 'digits:'"),
    ],
)
def test_a_spec_that_cannot_run_names_the_field_and_what_is_allowed(fields, message):
    with pytest.raises(ValidationError, match=message):
        Spec(**fields)


def test_strings_of_the_command_line_and_of_papermill_are_read():
    spec = Spec(unlearning_rate="0.5", seed="3", knowledge="private_size, pretrained")
    assert (spec.unlearning_rate, spec.seed, spec.knowledge) == (
        0.5,
        3,
        ("pretrained", "private_size"),
    )
    assert Spec(**json.loads(spec.model_dump_json())) == spec


def test_requests_differ_under_one_model_before():
    scenes = [
        prepare(Spec(dataset="digits", model="linear", budget="smoke", request=r)) for r in (0, 1)
    ]
    states = [s.trained.state for s in scenes]
    assert all(torch.equal(states[0][n], states[1][n]) for n in states[0])
    assert not torch.equal(scenes[0].forget.inputs, scenes[1].forget.inputs)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_forgets_that_much_of_one_class(share):
    private = load("digits").private
    forget, retain = choose(Spec(dataset="digits", private_size=600, forget_share=share), private)
    label = forget.labels.unique()
    assert len(label) == 1
    assert len(forget) == round(share * (private.labels == label).sum().item())
    assert len(forget) + len(retain) == 600


def test_a_device_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device: 'cuda' is not on this machine; allowed: auto"):
        device_of("cuda")


@pytest.mark.parametrize("cuda", [False, True])
def test_auto_leaves_mps_alone_and_says_so(monkeypatch, cuda):
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    if cuda:
        assert device_of("auto").type == "cuda"
        return
    with pytest.warns(UserWarning, match="'auto' takes the CPU, for on mps max-pooling"):
        assert device_of("auto").type == "cpu"
    assert device_of("mps").type == "mps"


def test_an_image_model_on_a_table_is_an_error():
    with pytest.raises(ValueError, match="needs images"):
        build("convnet", load("breast_cancer"))


@pytest.mark.parametrize("name", ["linear", "mlp", "convnet", "resnet18"])
@pytest.mark.parametrize("dataset", ["digits", "faces", "photos"])
def test_every_model_answers_for_every_image_set(name, dataset):
    found = load(dataset)
    net = build(name, found, **({} if name == "linear" else {"width": 2}))
    assert net(found.test.inputs[:2]).shape == (2, found.num_classes)


def test_no_batch_of_a_deep_net_holds_a_single_sample(monkeypatch):
    """BatchNorm cannot normalise it where the picture is down to one pixel, as 8x8 digits are."""
    sizes = []
    monkeypatch.setattr(
        "uninv_lib.training.pretraining.fit",
        lambda net, split, *, batch_size, **_: sizes.append(batch_size) or {},
    )
    pretrain(Spec(dataset="digits", model="resnet18"))
    assert all(len(load("digits").public) % size != 1 for size in sizes)
    assert sizes


def test_run_prints_one_record_on_standard_output():
    words = ["run", "--dataset", "digits", "--model", "linear", "--budget", "smoke", "--seed", "3"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert Record.model_validate_json(result.stdout).spec.seed == 3
    assert len(result.stdout.splitlines()) == 1


def test_run_refuses_a_wrong_field_in_one_line():
    result = CliRunner().invoke(main, ["run", "--unlearning-rate", "fast"])
    assert result.exit_code == 2
    assert "unlearning_rate: Input should be a valid number" in result.stderr


def test_help_lists_every_field():
    text = CliRunner().invoke(main, ["run", "--help"]).output
    assert all(f"--{name.replace('_', '-')}" in text for name in known_fields())


def test_integers_are_those_that_torch_can_hold():
    for name in ("seed", "model_seed", "request", "private_size", "epochs", "unlearning_steps"):
        with pytest.raises(ValidationError, match=f"{name}\n.*less than or equal to"):
            Spec(**{name: 123456789012345678901234567890})
    assert Spec(seed=2**63 - 1, model_seed=2**63 - 1).seed == 2**63 - 1


def test_all_faults_are_told_at_once():
    with pytest.raises(ValidationError) as caught:
        Spec(unlearning_rate=-1, seed="three", dataset="cats", strength=1)
    told = explain(caught.value)
    for field in ("unlearning_rate", "seed", "dataset", "strength"):
        assert f"{field}: " in told


def test_a_changed_spec_is_validated_and_keeps_what_applies():
    spec = Spec(defense="pruning", strength=0.5, unlearning_rate=1, seed=3)
    assert spec.but(seed=4).model_dump() == spec.model_dump() | {"seed": 4}
    other = spec.but(unlearning="retrain")
    assert (other.seed, other.strength, hasattr(other, "unlearning_rate")) == (3, 0.5, False)
    for wrong in ({"request": -1}, {"unlearning": "retrain", "unlearning_rate": 1}, {"sed": 1}):
        with pytest.raises(ValidationError):
            spec.but(**wrong)


EFFECTLESS = {
    "probes": "zoo",
    "score": "confidence",
    "unlearning_rate": 1e-3,
    "unlearning_steps": 1,
    "unlearning_batch_size": None,
    "weight_decay": 1.0,
}
"""What Records of schema 1 held of methods that were not chosen."""


@pytest.mark.parametrize("name", [file.stem for file in sorted(RESULTS.glob("*.jsonl"))])
def test_records_of_every_schema_load_and_lose_nothing_that_had_an_effect(name):
    for line in (RESULTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        written = json.loads(line)
        if "spec" not in written:  # rows of a benchmark
            return
        record = Record(**written)
        assert Record.model_validate_json(record.model_dump_json()) == record
        kept, old = record.spec.model_dump(mode="json"), written["spec"]
        lost = {key: value for key, value in old.items() if key not in kept}
        if old["attack"] == "features":
            assert record.spec.attack == lost["preset"]
        lost.pop("preset", None)
        if old["model"] == "linear":  # which has no width
            lost.pop("width", None)
        assert lost.items() <= EFFECTLESS.items()
        assert all(
            kept[key] == value for key, value in old.items() if key in kept and key != "attack"
        )


def test_a_record_of_a_later_schema_is_an_error():
    with pytest.raises(ValidationError, match="schema: 99; allowed: 1 to 2"):
        Record(schema=99, spec={}, metrics={}, seconds={}, versions={}, commit=None, device="cpu")


@pytest.mark.parametrize("spec", [None, "digits", [1]])
@pytest.mark.parametrize("schema", [{}, {"schema": 2}])
def test_a_record_without_a_spec_is_an_error_that_names_it(spec, schema):
    given = {"metrics": {}, "seconds": {}, "versions": {}, "commit": None, "device": "cpu"}
    with pytest.raises(ValidationError, match=r"spec\n.*valid dictionary"):
        Record(spec=spec, **given, **schema)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_metric_that_is_no_number_is_written_and_read(value):
    given = {"seconds": {}, "versions": {}, "commit": None, "device": "cpu"}
    record = Record(spec=Spec(), metrics={"psnr": float(value)}, **given)
    read = Record.model_validate_json(json.dumps(json.loads(record.model_dump_json())))
    assert str(read.metrics["psnr"]) == value
