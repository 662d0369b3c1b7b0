"""A grid file, the folder of its runs, and their table; how they are run is in
test_sweep_engine.py.
"""

import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path

import nbformat
import pytest
import trivial
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as some

from uninv_lib import Spec
from uninv_lib.__main__ import main
from uninv_lib.results import row
from uninv_lib.runs import RESULTS, frame, grid, read
from uninv_lib.runs.collect import collect, table
from uninv_lib.runs.engine import WorkError
from uninv_lib.runs.limit import Limit
from uninv_lib.runs.plan import Grid, PlanError, plan
from uninv_lib.runs.report import report, varied
from uninv_lib.runs.runner import describe
from uninv_lib.runs.store import DONE, STALE, Store
from uninv_lib.runs.work import complete, named

SWEEPS = RESULTS.parent / "sweeps"
CHAPTER = RESULTS.parent / "book" / "03_feature_recovery.ipynb"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SMOKE = "dataset: digits, model: linear, budget: smoke, device: cpu"


def planned(tmp_path, text):
    file = tmp_path / "grid.yaml"
    file.write_text(text, encoding="utf-8")
    return plan(file)


# The plan

values = some.lists(
    some.integers() | some.floats(allow_nan=False) | some.text(), min_size=1, max_size=4
)


names = some.text(min_size=1, max_size=3).filter(
    lambda name: "," not in name and name == name.strip()
)


@given(some.dictionaries(names, values, max_size=4))
def test_a_grid_is_the_product_of_its_axes_in_order(axes):
    found = list(Grid(spec={}, grid=axes).combinations())
    lengths = [len(axis) for axis in axes.values()]
    expected = 1
    for length in lengths:
        expected *= length
    assert len(found) == expected
    for place, name in enumerate(axes):
        period = expected
        for length in lengths[: place + 1]:
            period //= length
        assert [run[name] for run in found] == [
            axes[name][i // period % lengths[place]] for i in range(expected)
        ]


def test_a_grid_in_python_is_the_one_in_a_file(tmp_path):
    text = (
        f"spec: {{{SMOKE}}}\ngrid: {{'seed, model_seed': [0, 1], request: {{start: 0, count: 2}}}}"
    )
    fields = {"dataset": "digits", "model": "linear", "budget": "smoke", "device": "cpu"}
    specs = grid(**fields, **{"seed, model_seed": [0, 1]}, request=range(2))
    assert [Spec(**run.inputs) for run in planned(tmp_path, text)] == specs
    assert [(s.seed, s.model_seed, s.request) for s in specs] == [
        (0, 0, 0),
        (0, 0, 1),
        (1, 1, 0),
        (1, 1, 1),
    ]


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=8,
)


@given(some.dictionaries(some.text(), json_values, max_size=5), some.randoms())
def test_a_name_depends_on_no_order_of_keys_and_survives_json(inputs, random):
    keys = list(inputs)
    random.shuffle(keys)
    name = named(inputs, trivial.work, trivial.coded).name
    assert named({key: inputs[key] for key in keys}, trivial.work, trivial.coded).name == name
    assert named(json.loads(json.dumps(inputs)), trivial.work, trivial.coded).name == name


@given(some.floats(1e-9, 0.9), some.integers(0, 5), some.sampled_from(["μ", "ü", "u\u0308", "a b"]))
def test_equal_specs_have_one_name_however_their_numbers_are_written(rate, seed, folder):
    exact = {"unlearning_rate": rate, "seed": seed, "dataset": f"imagefolder:{folder}"}
    written = {
        "dataset": f"imagefolder:{folder}",
        "seed": float(seed),
        "unlearning_rate": repr(rate),
        "strength": -0.0,
    }
    other = exact | {"seed": seed + 1}
    specs = [Spec(**fields) for fields in (exact, written, other)]
    names = [
        named(spec.model_dump(mode="json"), trivial.work, trivial.coded).name for spec in specs
    ]
    assert specs[0] == specs[1]
    assert names[0] == names[1] != names[2]


def test_runs_that_are_asked_for_twice_are_run_once(tmp_path):
    runs = planned(
        tmp_path,
        f"- spec: {{{SMOKE}}}\n  grid: {{seed: [1, 1.0, 2], unlearning_rate: [1e-3, 0.001]}}",
    )
    assert [run.inputs["seed"] for run in runs] == [1, 2]


def test_axes_may_count(tmp_path):
    runs = planned(tmp_path, f"spec: {{{SMOKE}}}\ngrid: {{request: {{start: 3, count: 4}}}}")
    assert [run.inputs["request"] for run in runs] == [3, 4, 5, 6]


def test_several_fields_may_take_the_same_value(tmp_path):
    runs = planned(
        tmp_path, f"spec: {{{SMOKE}}}\ngrid: {{'seed, model_seed': [3, 5], request: [0, 1]}}"
    )
    fields = [tuple(run.inputs[name] for name in ("seed", "model_seed", "request")) for run in runs]
    assert fields == [(3, 3, 0), (3, 3, 1), (5, 5, 0), (5, 5, 1)]


def test_all_faults_are_told_at_once_with_where_they_are(tmp_path):
    text = (
        f"- spec: {{{SMOKE}}}\n  grid: {{sed: [0, 1]}}\n- spec: {{}}\n  grid: "
        f"{{dataset: [digits, cats], seed: [0, 1]}}"
    )
    with pytest.raises(PlanError) as failure:
        planned(tmp_path, text)
    message = str(failure.value)
    assert "unknown field 'sed'; did you mean 'seed'?" in message
    assert "in 2 of 6 runs, first in 1, " in message
    assert "unknown dataset 'cats'; allowed: digits" in message
    assert "first in 5, {'dataset': 'cats', 'seed': 0}" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: {seed: [1]}", "spec, notebook: give one of the two"),
        ("spec: {}\nnotebook: a.ipynb", "spec, notebook: give one of the two"),
        (
            "spec: {seed: 1}\ngrid: {seed: [1]}",
            "seed: given twice; allowed: once, in spec or in grid",
        ),
        ("spec: {}\ngrid: {'seed, model_seed': [1], seed: [2]}", "seed: given twice"),
        ("spec: {}\ngrid: {seed: []}", "at least 1 item"),
        ("spec: {}\ngrid: {seed: 3}", r"seed.list: Input should be a valid list \(came: 3\)\n"),
        ("spec: {[seed]: 3}", "line 1: a list or a mapping as a key; allowed: a name"),
        ("spec: {}\ngrid: {seed: {start: 0}}", "count: Field required"),
        ("spec: {}\ngird: {}", "unknown key 'gird'; did you mean 'grid'"),
        ("- spec: {}\n- spek: {}", "1: unknown key 'spek'; did you mean 'spec'"),
        ("spec: digits", "spec: allowed: a mapping of names to values; 'digits' came"),
        ("spec: {}\ngrid: [seed]", r"grid: allowed: a mapping of names to values; \['seed'\] came"),
        ("spec: {", "grid.yaml"),
        ("", "allowed: a mapping; nothing came"),
        ("{}", "spec, notebook: give one of the two"),
        ("[]", "an empty list; allowed: one grid or more"),
        ("- 3", "0: allowed: a mapping; 3 came"),
        ("digits", "allowed: a mapping; 'digits' came"),
    ],
)
def test_a_grid_file_that_cannot_be_read_says_why(tmp_path, text, message):
    with pytest.raises(PlanError, match=message) as told:
        planned(tmp_path, text)
    example = str(told.value).partition("a grid looks like this:\n")[2]
    assert len(planned(tmp_path, example)) == 10


def test_a_value_that_a_field_does_not_take_is_told(tmp_path):
    with pytest.raises(PlanError, match="knowledge: allowed: a list of names"):
        planned(tmp_path, "spec: {knowledge: 3}")


def test_parameters_of_a_notebook_keep_their_types_and_defaults(tmp_path):
    runs = planned(
        tmp_path,
        f"notebook: {CHAPTER}\ngrid: {{unlearning_rate: [1, 1e-3], seed: [2.0], request: [0]}}",
    )
    assert [run.inputs["unlearning_rate"] for run in runs] == [1.0, 0.001]
    assert {type(run.inputs["seed"]) for run in runs} == {int}
    assert runs[0].inputs["dataset"] == "photos"
    other = named(runs[0].inputs, runs[0].work, trivial.coded)
    assert other.name != runs[0].name, "the cells of the notebook count"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("{dataest: [faces]}", "unknown parameter 'dataest'; did you mean 'dataset'?"),
        ("{dataset: [cats]}", "unknown dataset 'cats'; allowed: digits"),
        ("{seed: [many]}", "seed: Input should be a valid integer"),
        ("{seed: [-1]}", "seed: Input should be greater than or equal to 0"),
    ],
)
def test_parameters_that_a_notebook_does_not_take_are_refused_before_the_first_run(
    tmp_path, grid, message
):
    with pytest.raises(PlanError, match=message.replace("?", r"\?")):
        planned(tmp_path, f"notebook: {CHAPTER}\ngrid: {grid}")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": 3}'])
def test_what_is_no_notebook_is_told_by_its_name(tmp_path, text):
    (tmp_path / "odd.ipynb").write_text(text)
    with pytest.raises(ValueError, match=r"notebook: odd.ipynb: .* allowed: format 4"):
        planned(tmp_path, "notebook: odd.ipynb")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("size = lambda: 3", "parameter size: default lambda: 3; allowed: a literal"),
        ("size: Tensor[int] = 3", "odd.ipynb: name 'Tensor' is not defined; allowed: a plain type"),
    ],
)
def test_a_parameter_that_no_grid_can_vary_is_told_by_its_name(tmp_path, cell, message):
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    made.cells = [nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})]
    nbformat.write(made, tmp_path / "odd.ipynb")
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        planned(tmp_path, "notebook: odd.ipynb")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(SWEEPS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_committed_records_are_those_of_their_sweep(file):
    recorded = [record.spec for record in read(file.stem)]
    assert {Spec(**run.inputs) for run in plan(file)} == set(recorded)
    assert len(set(recorded)) == len(recorded)


@pytest.fixture
def notebook(tmp_path):
    """A grid over a notebook that saves where papermill says, and fails where it is told to."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    cell = nbformat.v4.new_code_cell
    parameters = (
        "shares: list[float] = [0.5]\nfails: bool = False\nname: str = "
        "'true'\nPAPERMILL_OUTPUT_PATH = ''"
    )
    save = (
        "open(PAPERMILL_OUTPUT_PATH.replace('.ipynb', '.records.jsonl'), "
        "'w').write(repr((shares, fails, name)))"
    )
    made.cells = [
        cell(parameters, metadata={"tags": ["parameters"]}),
        cell(save),
        cell("assert not fails, 'as told'"),
    ]
    nbformat.write(made, tmp_path / "small.ipynb")
    return planned(
        tmp_path, "notebook: small.ipynb\ngrid: {shares: [[1, 0.1]], fails: [false, true]}"
    )


def test_a_notebook_is_executed_with_its_parameters_and_kept_with_its_records(notebook):
    files = complete(notebook[0])
    assert list(files) == ["notebook.ipynb", "records.jsonl", DONE]
    assert files["records.jsonl"] == b"([1.0, 0.1], False, 'true')"
    assert nbformat.reads(files["notebook.ipynb"].decode(), 4).cells[-1].execution_count
    assert json.loads(files[DONE])["notebook"] == "small.ipynb"


def test_a_notebook_is_told_only_what_was_chosen(tmp_path, monkeypatch):
    """Its default of an option that the chosen method lacks stays a default, which it passes over;
    so does a size that it adapts to the data.
    """
    told = []
    monkeypatch.setattr(
        "uninv_lib.book.execute.papermill_run",
        lambda _source, _output, parameters, **_: told.append(parameters),
    )
    (run,) = planned(tmp_path, f"notebook: {CHAPTER}\ngrid: {{unlearning: [retrain], seed: [0]}}")
    run.work(run.inputs)
    assert told[0].keys() == {"unlearning", "PAPERMILL_OUTPUT_PATH"}
    assert run.inputs["private_size"] == 32


def test_a_notebook_that_fails_is_kept_as_far_as_it_came(notebook):
    with pytest.raises(WorkError, match=r"cell 4 \(id .*\) failed(.|\n)*as told") as failure:
        complete(notebook[1])
    assert "AssertionError" in failure.value.files["notebook.ipynb"].decode()


# The folder


def test_a_run_appears_whole_with_its_mark_last_and_the_first_result_stands(tmp_path):
    store, (run,) = Store(tmp_path / "runs"), trivial.runs(1)
    files = complete(run)
    assert list(files)[-1] == DONE
    store.keep(run.name, files)
    store.keep(run.name, {DONE: b"another sweep's"})
    assert store.done() == {run.name}
    done = json.loads((store.folder / run.name / DONE).read_text())
    content = (store.folder / run.name / trivial.FILE).read_bytes()
    assert done["sha256"] == {trivial.FILE: hashlib.sha256(content).hexdigest()}
    assert (done["inputs"], done["seed"], done["device"]) == (run.inputs, None, "cpu")
    assert [entry.name for entry in store.folder.iterdir()] == [run.name]


@pytest.mark.parametrize("broken", ["fsync", "mkdir", "rename"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, broken):
    store, (run,) = Store(tmp_path), trivial.runs(1)
    files = complete(run)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, broken) if broken == "fsync" else (Path, broken)), full)
        with pytest.raises(OSError, match="No space left"):
            store.keep(run.name, files)
    assert list(tmp_path.iterdir()) == []
    store.keep(run.name, files)
    assert store.done() == {run.name}


def test_drafts_of_dead_processes_are_swept_away_and_those_of_the_living_are_not(tmp_path):
    old, fresh = tmp_path / ".draft-old", tmp_path / ".draft-fresh"
    for draft in (old, fresh):
        draft.mkdir()
    os.utime(old, (time.time() - STALE - 1,) * 2)
    Store(tmp_path)
    assert not old.exists()
    assert fresh.exists()


def test_what_a_failed_run_left_goes_when_it_succeeds(tmp_path):
    store, (run,) = Store(tmp_path), trivial.runs(1)
    for text in (b"first", b"second"):
        store.fail(run.name, {"failure.json": text})
    assert (store.failed / run.name / "failure.json").read_bytes() == b"second"
    assert store.done() == set()
    store.keep(run.name, complete(run))
    assert list(store.failed.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ([], Limit(None, retry=False)),
        (["--timeout", "2.5"], Limit(2.5, retry=False)),
        (["--timeout", "60", "--retry-timeouts"], Limit(60, retry=True)),
    ],
)
def test_the_time_of_a_run_is_an_option(tmp_path, monkeypatch, words, limit):
    told = []
    monkeypatch.setattr(
        "uninv_lib.runs.runner.run_missing", lambda *_, limit, **__: told.append(limit) or {}
    )
    (tmp_path / "grid.yaml").write_text(f"spec: {{{SMOKE}}}")
    command = ["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "runs")]
    assert CliRunner().invoke(main, [*command, *words]).exit_code == 0
    assert told == [limit]
    assert CliRunner().invoke(main, [*command, "--timeout", "0"]).exit_code == 2


# The table and the page


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of four Specs, run by the command line."""
    folder = tmp_path_factory.mktemp("finished")
    grid = folder / "grid.yaml"
    grid.write_text(
        f"- spec: {{{SMOKE}}}\n  grid: "
        f"{{dtype: [float32, float64], request: {{start: 0, count: 2}}}}\n"
        "- spec: {dataset: faces, model: linear, budget: smoke, private_size: 500, device: cpu}"
    )
    words = ["sweep", str(grid), "--out", str(folder / "runs"), "--workers", "2"]
    return folder, CliRunner().invoke(main, words), CliRunner().invoke(main, [*words, "--dry-run"])


@pytest.mark.cluster
@pytest.mark.parametrize("harm", ["torn", "gone"])
def test_records_that_are_not_those_of_their_run_are_told(finished, tmp_path, harm):
    runs = tmp_path / "runs"
    shutil.copytree(finished[0] / "runs", runs)
    records = next(runs.glob("*/records.jsonl"))
    torn = records.read_text()[:100]
    records.unlink()
    if harm == "torn":
        records.write_text(torn)
    told = CliRunner().invoke(main, ["collect", str(runs), str(tmp_path / "t.csv")])
    assert told.exit_code == 1
    assert f"{records}: damaged, or gone; move its folder away" in told.stderr
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.cluster
def test_a_sweep_keeps_what_runs_tells_what_fails_and_goes_on(finished):
    folder, result, again = finished
    assert result.exit_code == 1
    assert "5 runs, 0 done, 5 to do" in result.stderr
    assert "private_size: 500; allowed for faces: 1 to 60" in result.stderr
    assert "1 of 5 runs failed" in result.stderr
    assert "5 runs, 4 done, 1 to do, about" in again.stderr
    assert again.exit_code == 0
    (failed,) = (folder / "runs" / "failed").iterdir()
    assert json.loads((failed / "failure.json").read_text())["attempts"] == 3
    assert all(
        read(folder / "runs" / run / "records.jsonl")[0].metrics["psnr"] > 40
        for run in Store(folder / "runs").done()
    )


@pytest.mark.cluster
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_keeps_its_rows_and_types(finished, ending):
    folder, *_ = finished
    file = folder / f"table.{ending}"
    assert collect(folder / "runs", file) == 4
    found, kept = table(folder / "runs", folder), table(file, folder)
    assert kept.columns.tolist() == found.columns.tolist()
    assert {str(kept[name].dtype) for name in ("seed", "request", "schema")} == {"Int64"}
    assert kept["psnr"].dtype == kept["seconds"].dtype == "Float64"
    assert kept["knowledge"].tolist() == ["none"] * 4
    assert not list(folder.glob(".*"))


@pytest.mark.cluster
def test_the_records_of_a_sweep_make_a_results_file(finished):
    folder, *_ = finished
    collect(folder / "runs", folder / "grid.jsonl")
    specs = [record.spec for record in read(folder / "grid.jsonl")]
    assert set(specs) == {Spec(**run.inputs) for run in plan(folder / "grid.yaml")[:4]}
    assert [(spec.request, spec.dtype) for spec in specs] == sorted(
        (s.request, s.dtype) for s in specs
    )


@pytest.mark.long
@pytest.mark.parametrize("file", sorted(SWEEPS.glob("*.yaml")), ids=lambda file: file.stem)
def test_old_records_load_as_tables(file, tmp_path):
    records = RESULTS / f"{file.stem}.jsonl"
    assert collect(records, tmp_path / "t.parquet") == len(read(file.stem))


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("nowhere", "t.parquet", "no such file"),
        ("empty", "t.parquet", "no finished run"),
        ("empty", "t.jsonl", "no Record"),
        ("empty", "t.xlsx", "allowed endings: .parquet, .csv, .jsonl"),
        ("rows.jsonl", "t.csv", "not a file of Records: line 1 is no Record: spec: Field required"),
        ("rows.csv", "t.parquet", "no column run, seconds, finished"),
        ("nothing.csv", "t.parquet", "nothing.csv: not a table of `collect`"),
        ("broken.parquet", "t.csv", "broken.parquet: not a table of `collect`"),
        ("damaged", "t.csv", "done.json is damaged"),
    ],
)
def test_what_cannot_be_collected_is_told(tmp_path, source, target, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.jsonl").write_text('{"psnr": 1}\n')
    (tmp_path / "rows.csv").write_text("psnr\n1\n")
    (tmp_path / "nothing.csv").touch()
    (tmp_path / "broken.parquet").touch()
    (tmp_path / "damaged" / ("0" * 16)).mkdir(parents=True)
    result = CliRunner().invoke(main, ["collect", str(tmp_path / source), str(tmp_path / target)])
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / target).exists()


def test_a_report_stands_alone(tmp_path):
    for name in ("private_size", "labels_scores_mlp"):
        report(RESULTS / f"{name}.jsonl", tmp_path / f"{name}.html")
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert page.count("<tr>") == len(read(name)) + 1
        assert page.count("<img") >= 1
        metrics = re.findall('alt="(gain|psnr|ssim|label_accuracy);', page)
        assert len(metrics) == page.count("<img")
        assert metrics[0] == ("gain" if name == "private_size" else "label_accuracy")
        assert "http://" not in page
        assert "https://" not in page


def test_a_report_names_what_was_varied_and_what_repeated():
    found = table(RESULTS / "private_size_closed_form.jsonl", RESULTS)
    assert varied(found) == ["private_size", "knowledge", "dtype"]


def test_the_slurm_configuration_gives_a_job_script_that_starts_a_worker(monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.syspath_prepend(RESULTS.parent / "clusters")
    import dask
    import slurm

    with dask.config.set({}), slurm.cluster() as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=8" in script
    assert "export OMP_NUM_THREADS=8" in script
    assert re.search(
        r"-m distributed\.cli\.dask_worker tcp://\S+ .*--nthreads 1 .*--lifetime 470m", script
    )


def test_a_record_without_every_null_baseline_is_a_row_without_gain():
    old = read("features")[0]
    some_nulls = {"psnr": 20.0, "psnr_random": 5.0}
    assert "gain" not in row(old.model_copy(update={"metrics": some_nulls}))
    nulls = some_nulls | {"psnr_class_mean": 12.0, "psnr_max_diff": 13.0}
    assert row(old.model_copy(update={"metrics": nulls}))["gain"] == 7.0


def test_a_key_that_a_grid_file_has_twice_is_an_error(tmp_path):
    text = "spec: {dataset: digits}\ngrid:\n  seed: [0, 1]\n  request: [0]\n  seed: [2]\n"
    with pytest.raises(PlanError, match="line 3: seed: given twice; allowed: once"):
        planned(tmp_path, text)
    anchored = "- spec: &small {dataset: digits, seed: 1}\n- spec: {<<: *small, seed: 2}\n"
    assert [run.inputs["seed"] for run in planned(tmp_path, anchored)] == [1, 2]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_keeps_every_bit_of_a_number(tmp_path, ending):
    collect(RESULTS / "features.jsonl", tmp_path / f"t.{ending}")
    kept, found = table(tmp_path / f"t.{ending}", tmp_path), frame(read("features"))
    for name in read("features")[0].metrics:
        assert kept[name].tolist() == found[name].tolist()


def test_a_last_record_counts_without_its_line_end_unless_it_is_torn(tmp_path):
    line, file = (RESULTS / "features.jsonl").read_text().split("\n")[0], tmp_path / "r.jsonl"
    for text, count in ((line, 1), (f"{line}\n{line}", 2), (f"{line}\n{line[:50]}", 1)):
        file.write_text(text)
        assert len(read(file)) == count


@pytest.mark.parametrize("mark", ["", "{}", "[]", '{"seconds": null}', None])
def test_a_damaged_mark_of_a_finished_run_is_told_with_its_folder(tmp_path, mark):
    store, (run, other) = Store(tmp_path), trivial.runs(2)
    store.keep(run.name, complete(run))
    assert store.mark(run.name)["run"] == run.name
    (tmp_path / run.name / DONE).unlink()
    if mark is not None:
        (tmp_path / run.name / DONE).write_text(mark)
    with pytest.raises(ValueError, match=f"{run.name}: done.json is damaged: .* sweep again"):
        describe([run, other], store)
