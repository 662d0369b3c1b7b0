"""The widgets without a browser: what their state holds, and runs of the library that a reader asks
for.
"""

import json
import time

import pytest
import torch

from uninv_lib import Spec, load, prepare, run
from uninv_lib.book.verify import HOST, NAMESPACES
from uninv_lib.experiment import knowing
from uninv_lib.metrics import psnr
from uninv_lib.widgets import DefenseLab, DrawForgetLeak, LabelMeter, RecoveryExplorer, recorded
from uninv_lib.widgets import defense as lab
from uninv_lib.widgets import labels as meter
from uninv_lib.widgets import recovery as explorer
from uninv_lib.widgets.base import spec_of
from uninv_lib.widgets.observe import observe, people

SMALL = {"dataset": "digits", "budget": "smoke", "device": "cpu"}
LABELS = {
    "forget_share": 0.5,
    "unlearning": "retrain",
    "probes": "gradient",
    "seed": 0,
    "request": 1,
}
CELLS = {
    "draw": {
        "model": "linear",
        "unlearning": "retrain",
        "private_size": 4,
        "defense": "none",
        "strength": 0,
    },
    "recovery": {
        "sample": 2,
        "unlearning": "gradient_ascent",
        "unlearning_rate": 1e-3,
        "forget_size": 2,
    },
    "labels": LABELS,
    "defense": {"request": 3, "unlearning_rate": 1e-3, "defense": "obfuscation", "strength": 1},
}
MAKE = {
    "draw": lambda **words: DrawForgetLeak(**words),
    "recovery": lambda **words: RecoveryExplorer(grid=[CELLS["recovery"]], **words),
    "labels": lambda **words: LabelMeter(records=[run(Spec(**meter.FIXED, **LABELS))], **words),
    "defense": lambda **words: DefenseLab(grid=[CELLS["defense"]], **words),
}
each_widget = pytest.mark.parametrize("name", MAKE)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The widgets' runs, on digits and in a moment; with one thread, as the widgets run."""
    monkeypatch.setattr(explorer, "FIXED", {**SMALL, "model": "convnet", "width": 4})
    monkeypatch.setattr(
        meter,
        "FIXED",
        {**SMALL, "model": "mlp", "width": 2, "private_size": 200, "attack": "labels"},
    )
    monkeypatch.setattr(lab, "FIXED", {**SMALL, "model": "mlp", "width": 2})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def asked(monkeypatch):
    """ask(widget, message, ...) -> what the widget sent, the binary buffers beside, once its last
    run ended.
    """

    def ask(widget, *messages):
        sent = []
        monkeypatch.setattr(
            widget, "send", lambda content, buffers=None: sent.append((content, buffers))
        )
        for message in messages:
            widget._asked(widget, message, [])
        if widget.worker:
            widget.worker.join(60)
        return sent

    return ask


def last(sent):
    return sent[-1][0]


@pytest.mark.slow
@each_widget
def test_state_is_alive_by_itself(name):
    state = MAKE[name]().get_state()
    assert "export default" in state["_esm"]
    assert not set(HOST.findall(state["_esm"] + state["_css"])) - NAMESPACES
    plain = {
        key: value
        for key, value in state.items()
        if not isinstance(value, bytes) and key != "_dom_classes"
    }
    assert json.loads(json.dumps(plain)) == plain, "what is not binary must survive JSON"


@each_widget
def test_figure_stands_for_the_widget(name):
    assert MAKE[name]().figure().axes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["recovery", "labels", "defense"])
def test_grid_and_live_path_give_the_same_numbers(name, asked):
    widget = MAKE[name]()
    cell = widget.cells[0]
    sent = asked(widget, {"type": "hello"}, {"type": "run", "spec": CELLS[name]})
    assert sent[0][0] == {"type": "ready"}
    message, buffers = sent[-1]
    assert message == {"type": "done", "cell": cell}
    assert buffers == [widget.pictures]


def test_draw_runs_the_library_on_a_private_digit(asked):
    sent = asked(MAKE["draw"](), {"type": "run", "spec": CELLS["draw"]})
    expected = run(spec_of({"dataset": "digits", "width": 4, "device": "cpu"}, CELLS["draw"]))
    shown = last(sent)["cell"]["metrics"]
    assert list(shown)[:2] == ["gain", "psnr"]
    assert shown.items() <= expected.metrics.items()


def test_draw_runs_the_attacker_who_knows_of_pruning(asked):
    fields = CELLS["draw"] | {"defense": "pruning", "strength": 0.3}
    shown = last(asked(MAKE["draw"](), {"type": "run", "spec": fields}))["cell"]["metrics"]
    assert shown["psnr_adaptive"] - shown["psnr"] == pytest.approx(
        shown["gain_adaptive"] - shown["gain"]
    )
    assert "label_accuracy_adaptive" in shown


def test_lab_holds_what_the_attacker_finds_who_knows_of_the_defense():
    fields = {"request": 3, "unlearning_rate": 1e-3, "defense": "pruning", "strength": 0.5}
    cell = DefenseLab(grid=[fields]).cells[0]
    record = run(lab._spec(fields)).metrics
    scene = prepare(lab._spec(fields))
    found, truth = knowing(scene), scene.forget
    assert (
        psnr(found.inputs, truth.inputs).item()
        == record["psnr_adaptive"]
        == cell["metrics"]["psnr_adaptive"]
    )
    assert cell["metrics"]["inferred_label_adaptive"] == found.labels[0]
    assert (found.labels[0] == truth.labels[0]) == bool(record["label_accuracy_adaptive"])
    assert len(cell["pictures"]) == 3
    bare = {**fields, "defense": "none", "strength": 0}
    assert len(DefenseLab(grid=[bare]).cells[0]["pictures"]) == 2, "there is nothing to know of"


def test_people_are_named_in_the_order_of_requests():
    spec = Spec(**lab.FIXED, private_size=5)
    assert people(spec) == [prepare(spec.but(request=i)).forget.labels.item() for i in range(5)]


def test_explorer_s_gain_ends_at_the_record_s():
    cell = MAKE["recovery"]().cells[0]
    assert cell["curves"]["gain"][-1] == pytest.approx(cell["metrics"]["gain"], abs=1e-4)


def test_meter_s_committed_records_are_one_request_a_cell_and_each_attacker_is_rated():
    made = LabelMeter()
    assert len({json.dumps(cell["spec"]) for cell in made.cells}) == len(made.cells)
    assert sum(rate["of"] for rate in made.rates) == len(made.cells)
    opens = {name: made.fresh[name] for name in meter.SETTING}
    best = max(made.rates, key=lambda rate: rate["right"] / rate["of"])
    assert opens["probes"] == best["probes"] == "public"
    for rate in made.rates:
        assert rate["low"] <= rate["right"] / rate["of"] <= rate["high"]


def test_meter_runs_what_its_records_were_run_with():
    for record in meter._records()[::50]:
        live = meter._spec({name: getattr(record.spec, name) for name in meter.FIELDS})
        assert (live.model_seed, live.score) == (record.spec.model_seed, record.spec.score)


@each_widget
def test_wrong_settings_are_named(name, asked):
    sent = asked(MAKE[name](), {"type": "run", "spec": {**CELLS[name], "unlearning": "magic"}})
    assert last(sent)["type"] == "failed"
    assert "unlearning: " in last(sent)["text"]
    assert "magic" in last(sent)["text"]


@each_widget
def test_run_that_fails_says_why(name, asked):
    def fail(spec, **_):
        raise RuntimeError("no room left")

    sent = asked(MAKE[name](live=fail), {"type": "run", "spec": CELLS[name]})
    assert last(sent) == {"type": "failed", "text": "The run failed: no room left"}


@each_widget
def test_without_live_nobody_answers(name, asked):
    widget = MAKE[name](live=None)
    assert asked(widget, {"type": "hello"}, {"type": "run", "spec": CELLS[name]}) == []


@pytest.mark.parametrize("end", [{"type": "cancel"}, {"type": "run", "spec": CELLS["recovery"]}])
def test_run_is_ended_by_cancel_and_by_the_next_one(end, asked):
    ended = []

    def endless(spec, *, progress, watch):
        try:
            for _ in range(1000):
                time.sleep(0.01)
                progress("recovery", 0.5)
        except Exception:
            ended.append(spec)
            raise
        raise AssertionError("nobody ended the run")

    widget = MAKE["recovery"](live=endless)
    begin = {"type": "run", "spec": CELLS["recovery"]}
    sent = asked(widget, begin, end, {"type": "cancel"})
    assert len(ended) + (end["type"] == "run") >= 1
    assert last(sent) == {"type": "cancelled", "text": "Cancelled."}
    assert not [content for content, _ in sent if content["type"] in ("done", "failed")]


@pytest.mark.slow
@pytest.mark.long
def test_progress_is_told(asked):
    sent = asked(MAKE["recovery"](), {"type": "run", "spec": CELLS["recovery"]})
    told = [content["done"] for content, _ in sent if content["type"] == "progress"]
    assert told == sorted(told)
    assert all(0 <= done <= 1 for done in told)


def test_explorer_s_runs_are_recorded():
    assert recorded.recorded().keys() >= {recorded.key_of(spec) for spec in explorer.GRID[1:]}


@pytest.mark.long
def test_what_is_recorded_is_what_was_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("uninv_lib.results.RESULTS", tmp_path)
    assert recorded.recorded() == {}
    spec = explorer._spec(CELLS["recovery"])
    recorded.record([spec])
    found, seen = recorded.recorded()[recorded.key_of(spec)], observe(spec)
    assert (found.metrics, found.steps, found.curves) == (seen.metrics, seen.steps, seen.curves)
    for name in recorded.PICTURES:
        assert (getattr(found, name) - getattr(seen, name)).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.slow
def test_explorer_alone_computes_its_first_run(tmp_path, monkeypatch):
    monkeypatch.setattr("uninv_lib.results.RESULTS", tmp_path)
    made = RecoveryExplorer()
    assert len(made.cells) == 1
    assert made.cells[0]["spec"] == explorer._grid()[0]


def test_draw_holds_the_library_s_digits():
    made, data = DrawForgetLeak(), load("digits")
    start, end = made.parts["test"]
    held = torch.tensor(list(made.digits)).reshape(-1, 64)[start:end] / 16
    assert torch.equal(held, data.test.inputs.flatten(1))
    assert made.labels[start:end] == data.test.labels.tolist()
