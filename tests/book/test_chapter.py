"""One run of a chapter with papermill: its parameters are checked, and its Records stand beside the
output.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch

from uninv_lib import Record, Spec, figures, prepare
from uninv_lib.book import chapter
from uninv_lib.book.chapter import ParameterError, save_records, spec_of
from uninv_lib.runs import read

PARAMETERS = 'dataset: str = "digits"\nseed: int = 0\nunlearning_rate: float = 1e-3'
CHAPTERS = Path(__file__).parents[2] / "book"
SMALL = Spec(dataset="digits", model="linear", budget="smoke", device="cpu")


def notebook(*injected: str, before: str = "import math") -> dict:
    """The globals of a chapter after its parameters cell, and the cell that papermill injects if
    there is one.
    """
    cells = [before, PARAMETERS, *(f"# Parameters\n{line}" for line in injected)]
    names: dict = {"In": ["", *cells]}
    for cell in cells:
        exec(cell if cell != before else "", names)
    return names


def test_a_chapter_without_papermill_has_its_defaults():
    assert spec_of(notebook()) == Spec(dataset="digits")
    assert spec_of(notebook(), device="cpu") == Spec(dataset="digits", device="cpu")


@pytest.mark.parametrize(
    "line", ["unlearning_rate = 1", 'unlearning_rate = "1"', "unlearning_rate = True"]
)
def test_whole_numbers_text_and_flags_are_taken_as_the_field_reads_them(line):
    assert spec_of(notebook(line)).unlearning_rate == 1.0


def test_a_misspelt_parameter_is_an_error_that_lists_the_allowed_ones():
    with pytest.raises(
        ParameterError, match=r"'unlearning_rat'; did you mean 'unlearning_rate'\? allowed: da"
    ):
        spec_of(notebook("unlearning_rat = 0.5"))
    with pytest.raises(
        ParameterError, match="unknown parameter 'width'"
    ):  # a field of Spec that this chapter ignores
        spec_of(notebook("width = 8"))


def test_a_value_that_is_not_allowed_is_an_error_that_names_field_value_and_allowed():
    with pytest.raises(ParameterError, match=r"'cats'; allowed: digits, faces.* \(came: 'cats'\)"):
        spec_of(notebook('dataset = "cats"'))
    with pytest.raises(ParameterError, match=r"seed: .*\(came: \[1, 2\]\)"):
        spec_of(notebook("seed = [1, 2]"))


SIZES = PARAMETERS + "\nprivate_size: int = 512"


@pytest.mark.parametrize("size", [None, 512])
def test_a_size_is_lowered_to_what_the_data_has_unless_somebody_chose_it(capsys, size):
    injected = '# Parameters\ndataset = "faces"' + f"\nprivate_size = {size}" * (size is not None)
    names: dict = {"In": ["", SIZES, injected]}
    for cell in names["In"]:
        exec(cell, names)
    spec = spec_of(names, device="cpu")
    if size is None:
        assert spec == Spec(dataset="faces", private_size=60, device="cpu")
        said = "faces has 60 private samples: private_size is 60 in place of 512.\n"
        assert capsys.readouterr().out == said
    else:
        assert spec.private_size == 512
        with pytest.raises(ValueError, match="private_size: 512; allowed for faces: 1 to 60"):
            prepare(spec)


def test_data_that_cannot_be_read_are_told_like_a_parameter():
    with pytest.raises(ParameterError, match="dataset: nowhere is not a folder"):
        spec_of(notebook('dataset = "imagefolder:nowhere"'))


def test_paths_that_papermill_injects_are_no_parameters():
    assert spec_of(notebook('PAPERMILL_OUTPUT_PATH = "out.ipynb"')) == Spec(dataset="digits")


def test_a_reader_may_run_cells_again_and_mistype_one():
    names = notebook("seed = 3")
    names["In"] += ["seed =", PARAMETERS]
    exec(PARAMETERS, names)
    assert spec_of(names).seed == 0


def test_a_notebook_shows_the_message_and_not_the_way_to_it():
    with pytest.raises(ParameterError) as caught:
        spec_of(notebook("seed = -1"))
    assert caught.value._render_traceback_() == [f"ParameterError: {caught.value}"]
    assert caught.value.__suppress_context__


@pytest.fixture
def instant(monkeypatch):
    """Runs that take no time."""
    monkeypatch.setattr(
        chapter,
        "run",
        lambda spec: Record(
            spec=spec, metrics={}, seconds={}, versions={}, commit=None, device="cpu"
        ),
    )


def test_records_stand_whole_beside_the_output_one_a_line(tmp_path, instant):
    names = {"PAPERMILL_OUTPUT_PATH": str(tmp_path / "seed-{seed}.0.ipynb"), "seed": 3}
    save_records(names, SMALL, SMALL.but(seed=1), SMALL)
    assert [file.name for file in tmp_path.iterdir()] == ["seed-3.0.records.jsonl"]
    assert [record.spec.seed for record in read(tmp_path / "seed-3.0.records.jsonl")] == [0, 1]


@pytest.mark.parametrize("broken", ["write_text", "replace"])
def test_a_full_disk_leaves_the_old_records_and_no_draft(tmp_path, instant, monkeypatch, broken):
    (tmp_path / "out.records.jsonl").write_text("old\n")

    def full(file, *_, **__):
        file.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, broken, full)
    with pytest.raises(OSError, match="No space"):
        save_records({"PAPERMILL_OUTPUT_PATH": str(tmp_path / "out.ipynb")}, SMALL)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old\n"]


@pytest.mark.parametrize("path", ["", "-", "{pm.run_uuid}.ipynb"])
def test_without_a_known_output_notebook_nothing_is_run(path, monkeypatch):
    monkeypatch.setattr(chapter, "run", lambda spec: 1 / 0)
    save_records({}, SMALL)
    save_records({"PAPERMILL_OUTPUT_PATH": path}, SMALL)


def first_chapter(folder: Path) -> Path:
    """Chapter 1 without its claims, which have settings of their own."""
    made = nbformat.read(next(CHAPTERS.glob("01_*.ipynb")), 4)
    made.cells = [cell for cell in made.cells if not cell.id.startswith(("claim", "solution"))]
    nbformat.write(made, folder / "chapter.ipynb")
    return folder / "chapter.ipynb"


def papermill(source: Path, words: str, place: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(source), *words.split()]
    environment = os.environ | {"PYTHONPATH": str(CHAPTERS.parent)}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


@pytest.mark.long
@pytest.mark.slow
def test_the_plain_command_keeps_records_beside_its_output_from_any_directory(tmp_path):
    for name in ("elsewhere", "runs"):
        (tmp_path / name).mkdir()
    words = (
        "../runs/{dataset}-{seed}.ipynb -p dataset faces -p seed 3 -p unlearning_rate 1 -r "
        "request 4"
    )
    done = papermill(first_chapter(tmp_path), words, tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "runs").iterdir()} == {
        "faces-3.ipynb",
        "faces-3.records.jsonl",
    }
    (record,) = read(tmp_path / "runs" / "faces-3.records.jsonl")
    asked = Spec(
        dataset="faces", model="linear", seed=3, unlearning_rate=1.0, request=4, device="cpu"
    )
    assert record.spec == asked
    assert record.metrics["psnr"] > 50
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.long
@pytest.mark.slow
def test_papermill_ends_with_the_message_about_a_misspelt_parameter(tmp_path):
    done = papermill(first_chapter(tmp_path), "out.ipynb -p sed 3", tmp_path)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1] == (
        "ParameterError: unknown parameter 'sed'; did you mean 'seed'? "
        "allowed: dataset, model, private_size, unlearning_rate, seed, request, dtype"
    )
    assert not (tmp_path / "out.records.jsonl").exists()


def test_samples_of_a_table_are_drawn_as_bar_codes():
    drawn = figures.pictures({"samples": torch.rand(2, 30), "probes": torch.rand(2, 30)})
    assert [axis.images[0].get_array().shape for axis in drawn.axes] == [(10, 30)] * 4


def test_a_default_that_does_not_apply_is_passed_over_and_an_injected_one_refused():
    cell = PARAMETERS + '\nunlearning: str = "gradient_ascent"'

    def given(*lines):
        names = {"In": ["", cell, *(f"# Parameters\n{line}" for line in lines)]}
        for text in names["In"]:
            exec(text, names)
        return names

    spec = spec_of(given('unlearning = "retrain"'))
    assert spec.unlearning == "retrain"
    assert not hasattr(spec, "unlearning_rate")
    with pytest.raises(ParameterError, match="unlearning_rate: an option of unlearning"):
        spec_of(given('unlearning = "retrain"\nunlearning_rate = 1'))
    with pytest.raises(ParameterError, match=r"seed: .* less than or equal to"):
        spec_of(given("seed = 123456789012345678901234567890"))


def test_a_default_that_the_chosen_method_refuses_is_passed_over():
    cell = PARAMETERS + '\ndefense: str = "obfuscation"\nstrength: float = 1.5'

    def given(line):
        names = {"In": ["", cell, f"# Parameters\n{line}"]}
        for text in names["In"]:
            exec(text, names)
        return names

    assert spec_of(given('defense = "none"')).strength == 0
    with pytest.raises(ParameterError, match="strength: Field required for defense 'pruning'"):
        spec_of(given('defense = "pruning"'))
    with pytest.raises(ParameterError, match=r"strength: .* \(came: 1.5\)"):
        spec_of(given('defense = "none"\nstrength = 1.5'))
