"""Everything once more, and a sample that is compared; tried on two small sweeps."""

import pytest
from click.testing import CliRunner

from uninv_lib import __main__ as cli
from uninv_lib.results import read
from uninv_lib.runs import repeat, reproduce

SMALL = """\
spec: {{dataset: digits, model: linear, budget: smoke, attack: analytic, device: cpu}}
grid: {{seed: [{seeds}]}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with two sweeps and no results yet."""
    for name in ("sweeps", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "sweeps" / "one.yaml").write_text(SMALL.format(seeds="0, 1"))
    (tmp_path / "sweeps" / "two.yaml").write_text(SMALL.format(seeds="2"))
    monkeypatch.setattr(reproduce, "SWEEPS", tmp_path / "sweeps")
    for module in (reproduce, repeat):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr("uninv_lib.results.RESULTS", tmp_path / "results")
    return tmp_path


def call(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.slow
def test_everything_is_made_again_and_a_sample_of_it_repeats(project):
    out = project / "runs"
    said = call("reproduce", "--out", out, "--dry-run")
    assert said.exit_code == 0
    assert "one: 2 runs, 0 done, 2 to do" in said.output
    assert not list((project / "results").iterdir())
    made = call("reproduce", "--out", out, "--workers", 1)
    assert made.exit_code == 0, made.output
    assert [len(read(name)) for name in ("one", "two")] == [2, 1]
    known = call("reproduce", "--out", project / "fresh", "--dry-run").output
    assert "2 to do, about" in known, "by the Records that are there"
    assert "all together: about" in known
    again = call("reproduce", "one", "--out", out)
    assert "one: 2 runs, 2 done, 0 to do" in again.output
    alike = call("repeat", "--count", 2, "--seed", "a")
    assert (alike.exit_code, alike.output.count("repeats")) == (0, 2)
    file = project / "results" / "two.jsonl"
    file.write_text(file.read_text().replace('"label_accuracy":1.0', '"label_accuracy":0.0'))
    other = call("repeat", "--count", 3, "--seed", "a")
    assert other.exit_code == 1
    assert "label_accuracy: recorded 0, now 1" in other.output


def test_a_sweep_that_is_not_there_is_named(project):
    said = call("reproduce", "three", "--out", project / "runs")
    assert "unknown sweep 'three'; allowed: one, two" in said.output


def test_more_records_than_there_are_cannot_be_repeated(project):
    said = call("repeat", "--count", 5)
    assert "count: 5; allowed:" in said.output


@pytest.mark.parametrize("command", ["reproduce", "repeat"])
def test_outside_a_checkout_there_is_nothing_to_make_again(command, project, monkeypatch):
    monkeypatch.setattr(reproduce, "SWEEPS", project / "nowhere")
    done = call(command)
    assert done.exit_code == 1
    assert "in a checkout of the project" in done.output


def test_a_plan_that_is_only_told_leaves_no_folder(project):
    assert call("reproduce", "--out", project / "runs", "--dry-run").exit_code == 0
    assert not (project / "runs").exists()


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.slow
def test_a_sweep_whose_data_are_not_there_is_left_out_and_named(project):
    (project / "sweeps" / "three.yaml").write_text(
        "spec: {dataset: 'csv:nowhere/people.csv?target=ill', model: linear, device: cpu}\n"
    )
    done = call("reproduce", "two", "three", "--out", project / "runs", "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "three: left out, for there is no nowhere/people.csv" in done.output
    assert [file.name for file in (project / "results").iterdir()] == ["two.jsonl"]
