"""The command line as a whole; its commands are tested where they belong."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

import uninv_lib
from uninv_lib.__main__ import main


def test_it_tells_its_version_which_is_that_of_the_citation():
    done = CliRunner().invoke(main, ["--version"])
    assert done.output == f"uninv, version {uninv_lib.__version__}\n"
    cited = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", cited, re.M) == [uninv_lib.__version__]


def test_an_unknown_command_lists_nothing_but_says_where_help_is():
    done = CliRunner().invoke(main, ["swep"])
    assert done.exit_code == 2
    assert "--help" in done.output


def test_a_run_takes_as_many_private_samples_as_there_are_unless_told_how_many(tmp_path):
    rows = [f"{i},{20 - i},{'ab'[i % 2]}" for i in range(20)]
    (tmp_path / "few.csv").write_text("\n".join(["x,y,kind", *rows]))
    words = ["run", "--dataset", f"table:{tmp_path / 'few.csv'}", "--model", "linear"]
    words += ["--budget", "smoke", "--device", "cpu"]
    result = CliRunner().invoke(main, words)
    assert "has 6 private samples: private_size is 6 in place of 32." in result.stderr
    assert json.loads(result.stdout)["spec"]["private_size"] == 6
    result = CliRunner().invoke(main, [*words, "--private-size", "32"])
    assert result.exit_code == 1
    assert "private_size: 32; allowed for csv:" in result.stderr
