"""The table of the README, brought from the executed chapters by .ci/headlines.py."""

import importlib.util
import json
from pathlib import Path

import pytest

from uninv_lib.claims import above

SCRIPT = Path(__file__).parents[2] / ".ci" / "headlines.py"
SHOWN = [
    above({"a": (1.0, 0.5, 2.0)}, 3, "C2: it | leaks.", "dB"),
    above({"a": (5.0, 4.0, 6.0)}, 3, "No claim of the paper.", "dB"),
]


@pytest.fixture
def headlines(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("headlines", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "README", tmp_path / "README.md")
    monkeypatch.setattr(module, "EXECUTED", tmp_path)
    monkeypatch.setattr(module.sys, "argv", ["headlines.py", "--write"])
    outputs: list[dict] = [{"output_type": "stream", "text": "noise"}]
    outputs += [{"data": verdict._repr_mimebundle_()} for verdict in SHOWN]
    cell = {"metadata": {"tags": ["headline"]}, "outputs": outputs}
    notebook = json.dumps({"cells": [cell, {"metadata": {}}]})
    (tmp_path / "03_some.json").write_text(json.dumps({"notebook": notebook}), encoding="utf-8")
    return module


EMPTY = """before
<!-- headlines -->
old
<!-- /headlines -->
between
<!-- numbers -->
<!-- /numbers -->
after
"""


def test_verdicts_and_numbers_are_written_between_the_marks_and_nothing_else_is(
    headlines, monkeypatch
):
    monkeypatch.setattr(headlines, "numbers", lambda: ["| a leak | 1.0 dB |\n"])
    headlines.README.write_text(EMPTY, encoding="utf-8")
    assert headlines.main() == 0
    verdicts = headlines.HEADLINES[1] + "| C2: it \\| leaks | refuted | 3 |\n"
    numbers = headlines.NUMBERS[1] + "| a leak | 1.0 dB |\n"
    expected = EMPTY.replace("old\n", verdicts).replace("<!-- /numbers", numbers + "<!-- /numbers")
    assert headlines.README.read_text(encoding="utf-8") == expected
    monkeypatch.setattr(headlines.sys, "argv", ["headlines.py"])
    assert headlines.main() == 0


def test_a_difference_is_told_and_nothing_written(headlines, monkeypatch, capsys):
    monkeypatch.setattr(headlines, "numbers", lambda: ["| a leak | 1.0 dB |\n"])
    monkeypatch.setattr(headlines.sys, "argv", ["headlines.py"])
    headlines.README.write_text(EMPTY, encoding="utf-8")
    assert headlines.main() == 1
    assert "| a leak | 1.0 dB |" in capsys.readouterr().out
    assert headlines.README.read_text(encoding="utf-8") == EMPTY


def test_a_readme_without_the_marks_is_told_and_kept(headlines, capsys):
    headlines.README.write_text("no table\n", encoding="utf-8")
    assert headlines.main() == 1
    assert "has no table between the marks" in capsys.readouterr().out
    assert headlines.README.read_text(encoding="utf-8") == "no table\n"


def test_the_numbers_of_the_readme_are_those_of_the_records(headlines):
    readme = (SCRIPT.parents[1] / "README.md").read_text(encoding="utf-8")
    rows = list(headlines.numbers())
    assert len(rows) == 10
    assert [row for row in rows if row not in readme] == []
