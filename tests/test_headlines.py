"""The table of the README, brought from the executed chapters by .ci/headlines.py."""

import importlib.util
import json
from pathlib import Path

import pytest

from uninv_lib.claims import above

SCRIPT = Path(__file__).parents[1] / ".ci" / "headlines.py"
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
    outputs = [{"output_type": "stream", "text": "noise"}]
    outputs += [{"data": verdict._repr_mimebundle_()} for verdict in SHOWN]
    cell = {"metadata": {"tags": ["headline"]}, "outputs": outputs}
    notebook = json.dumps({"cells": [cell, {"metadata": {}}]})
    (tmp_path / "03_some.json").write_text(json.dumps({"notebook": notebook}), encoding="utf-8")
    return module


def test_verdicts_are_written_between_the_marks_and_nothing_else_is(headlines):
    headlines.README.write_text(
        f"before\n{headlines.START}old\n{headlines.END}\nafter\n", encoding="utf-8"
    )
    assert headlines.main() == 0
    row = "| C2: it \\| leaks | refuted | 3 |\n"
    assert headlines.README.read_text(encoding="utf-8") == (
        f"before\n{headlines.START}{headlines.HEAD}{row}{headlines.END}\nafter\n"
    )


def test_a_readme_without_the_marks_is_told_and_kept(headlines, capsys):
    headlines.README.write_text("no table\n", encoding="utf-8")
    assert headlines.main() == 1
    assert "has no table between the marks" in capsys.readouterr().out
    assert headlines.README.read_text(encoding="utf-8") == "no table\n"
