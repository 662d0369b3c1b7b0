"""The command line as a whole; its commands are tested where they belong."""

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
