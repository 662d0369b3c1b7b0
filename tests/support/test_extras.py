"""With the library alone, what needs more says which extra to install."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from uninv_lib.support.extras import needs

ROOT = Path(__file__).parents[2]
EXTRAS = (
    "torchvision torchmetrics matplotlib seaborn pandas anywidget traitlets distributed dask yaml "
    "pyarrow papermill ipykernel psutil jupyter_client sphinx_external_toc nbformat"
)
ALONE = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS.split()}, None))\n"
"""Python with the library alone: to import one of these fails as it does where it is absent."""


def alone(program, *words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ALONE + program, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


COMMANDS = {
    "sweep grid.yaml --out runs": "sweep",
    "collect results/several.jsonl table.csv": "sweep",
    "report results/several.jsonl page.html": "sweep",
    "book": "book",
    "run --dataset cifar10": "vision",
    "run --dataset digits --model resnet18 --budget smoke": "vision",
}


def test_a_command_says_what_to_install():
    program = (
        "import json; from click.testing import CliRunner; from uninv_lib.__main__ import main\n"
        "for words in sys.argv[1:]:\n"
        "    done = CliRunner().invoke(main, words.split())\n"
        "    print(json.dumps([done.exit_code, done.output.splitlines()[-1]]))"
    )
    lines = alone(program, *COMMANDS).stdout.splitlines()
    for (words, extra), line in zip(COMMANDS.items(), lines, strict=True):
        code, said = json.loads(line)
        assert code == 1, words
        assert re.match(r"Error: \w+ is not installed; it comes with an extra: pip", said), said
        assert said.endswith(f"install 'uninv-lib[{extra}]'"), words


IMPORTS = {
    "figures": "figures",
    "widgets": "widgets",
    "runs.plan": "sweep",
    "runs.engine": "sweep",
    "runs.work": "sweep",
    "runs.parameters": "sweep",
    "runs.report": "sweep",
    "book.execute": "sweep",
    "book.chapter": "sweep",
    "book.build": "book",
}


def test_an_import_says_what_to_install():
    program = (
        "import importlib\n"
        f"for name in {list(IMPORTS)}:\n"
        "    try: importlib.import_module(f'uninv_lib.{name}')\n"
        "    except ModuleNotFoundError as error: print(name, error)\n"
    )
    told = dict(line.split(" ", 1) for line in alone(program).stdout.splitlines())
    assert told.keys() == IMPORTS.keys()
    assert [name for name, said in told.items() if f"[{IMPORTS[name]}]'" not in said] == []


def test_the_library_alone_runs_and_reads():
    program = (
        "from uninv_lib import Spec, run\n"
        "from uninv_lib.runs import read\n"
        "print(len(read('several')) > 0, run(Spec(dataset='digits', model='linear', "
        "budget='smoke')).metrics['psnr'] > 20)"
    )
    done = alone(program)
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_lpips_and_tables_say_what_to_install():
    program = (
        "import torch; from uninv_lib import metrics, results\n"
        "pictures = torch.rand(1, 3, 32, 32)\n"
        "for ask in (lambda: metrics.lpips(pictures, pictures), lambda: results.frame([])):\n"
        "    try: ask()\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    lpips, table = alone(program).stdout.splitlines()
    assert "[lpips]'" in lpips
    assert "[figures]'" in table


def test_every_extra_that_is_named_is_one():
    named = {
        word
        for file in (ROOT / "uninv_lib").rglob("*.py")
        for word in file.read_text(encoding="utf-8").split('needs("')[1:]
    }
    declared = " ".join(requires("uninv-lib") or ())
    for extra in {word.partition('"')[0] for word in named}:
        assert f'extra == "{extra}"' in declared, extra


def test_what_is_there_is_imported_and_other_errors_pass():
    with needs("sweep"):
        import json
    assert json
    with pytest.raises(ZeroDivisionError), needs("sweep"):
        raise ZeroDivisionError
    message = r"^No module named 'uninv_lib\.absent'"
    with pytest.raises(ModuleNotFoundError, match=message), needs("sweep"):
        import uninv_lib.absent  # noqa: F401
