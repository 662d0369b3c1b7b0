"""Threads wait briefly wherever the library computes: set before torch is loaded, and inherited
by kernels and workers.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import pytest
import torch

from uninv_lib.book.execute import papermill_run
from uninv_lib.support import threads
from uninv_lib.support.threads import BRIEF, OWN

ROOT = Path(__file__).parents[2]
BARE = {name: word for name, word in os.environ.items() if name not in OWN}
SET = {**dict.fromkeys(OWN), **BRIEF}
SEEN = f"{{name: os.environ.get(name) for name in {list(OWN)}}}"


def tell(program, **more):
    """What a fresh Python prints, and what it says on standard error."""
    environment = {**BARE, "PYTHONPATH": str(ROOT), **more}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


def variables():
    return {name: os.environ.get(name) for name in OWN}


def test_they_are_set_before_torch_is_loaded():
    program = (
        "import sys, os, json\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == 'torch': print(json.dumps({SEEN}))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import uninv_lib.__main__"
    )
    assert json.loads(tell(program)[0]) == SET


@pytest.mark.parametrize(("name", "word"), [("OMP_WAIT_POLICY", "ACTIVE"), ("KMP_BLOCKTIME", "9")])
def test_what_the_user_has_set_stands_alone(name, word, monkeypatch):
    for other in OWN:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, word)
    threads.wait_briefly()
    assert variables() == {**dict.fromkeys(OWN), name: word}


LATE = """
import torch
torch.set_num_threads(2)
from uninv_lib.support.progress import steps
for _ in range(2):
    with steps(1, "work", False) as tick:
        tick()
"""


@pytest.mark.parametrize(("more", "remarks"), [({}, 1), ({"OMP_WAIT_POLICY": "PASSIVE"}, 0)])
def test_a_torch_that_came_first_is_remarked_once_where_several_threads_work(more, remarks):
    _, said = tell(LATE, **more)
    assert said.count("torch was imported before uninv_lib") == remarks


def test_kernels_inherit_them(brief, tmp_path):
    code = f"import os\nprint({SEEN})"
    cell = nbformat.v4.new_code_cell(code, id="code")
    source = tmp_path / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), source)
    made = papermill_run(source, None, {}, folder=tmp_path)
    assert made.cells[0].outputs[0].text.strip() == str(SET)


def test_the_remark_says_what_to_do_and_only_where_several_threads_work(monkeypatch):
    monkeypatch.setattr(threads, "TOO_LATE", True)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    threads.remark.cache_clear()
    with warnings.catch_warnings(record=True) as alone:
        threads.remark()
    assert not alone
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    threads.remark.cache_clear()
    with pytest.warns(UserWarning, match="Import uninv_lib first, or set GOMP_SPINCOUNT=1000"):
        threads.remark()
    with warnings.catch_warnings(record=True) as again:
        threads.remark()
    assert not again


@pytest.mark.parametrize(("width", "number"), [(8, 1), (1000, 2)])
def test_a_small_net_has_one_thread_and_torchs_number_comes_back(monkeypatch, width, number):
    before, net = torch.get_num_threads(), torch.nn.Linear(width, width)
    monkeypatch.setattr(threads, "SMALL", 1e6)
    try:
        torch.set_num_threads(2)
        with threads.fitting_threads(lambda: net(torch.zeros(1, width))):
            assert torch.get_num_threads() == number
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
