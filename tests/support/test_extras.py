"""With the library alone, what needs more says which extra to install."""

import os
import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from interpreter import interpreter

from uninv_lib.support.extras import needs

ROOT = Path(__file__).parents[2]
EXTRAS = (
    "torchvision torchmetrics matplotlib seaborn pandas anywidget traitlets distributed dask yaml "
    "pyarrow opacus papermill ipykernel psutil jupyter_client sphinx_external_toc nbformat"
)
ALONE = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS.split()}, None))\n"
"""Python with the library alone: to import one of these fails as it does where it is absent."""


@pytest.fixture(scope="module")
def alone():
    """alone(program) -> what it printed as JSON."""
    beginning = f"{ALONE}import uninv_lib.__main__"
    with interpreter(beginning, env=os.environ | {"PYTHONPATH": str(ROOT)}) as ask:
        yield ask


COMMANDS = {
    "sweep grid.yaml --out runs": "sweep",
    "collect results/several.jsonl table.csv": "sweep",
    "report results/several.jsonl page.html": "sweep",
    "book": "book",
    "run --dataset cifar10": "vision",
    "run --dataset digits --model resnet18 --budget smoke": "vision",
}


def test_a_command_says_what_to_install(alone):
    found = alone(f"""
        import json; from click.testing import CliRunner; from uninv_lib.__main__ import main
        done = [CliRunner().invoke(main, words.split()) for words in {list(COMMANDS)}]
        print(json.dumps([[one.exit_code, one.output.splitlines()[-1]] for one in done]))
    """)
    for (words, extra), (code, said) in zip(COMMANDS.items(), found, strict=True):
        assert code == 1, words
        assert re.match(r"Error: \w+ is not installed; it comes with an extra: pip", said), said
        assert said.endswith(f"install '.[{extra}]' in the project's folder"), words


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


def test_an_import_says_what_to_install(alone):
    told = alone(f"""
        import importlib, json
        told = {{}}
        for name in {list(IMPORTS)}:
            try: importlib.import_module(f"uninv_lib.{{name}}")
            except ModuleNotFoundError as error: told[name] = str(error)
        print(json.dumps(told))
    """)
    assert told.keys() == IMPORTS.keys()
    assert [name for name, said in told.items() if f"[{IMPORTS[name]}]'" not in said] == []


def test_the_library_alone_runs_and_reads(alone):
    count, psnr = alone("""
        import json; from uninv_lib import Spec, run; from uninv_lib.runs import read
        found = run(Spec(dataset="digits", model="linear", budget="smoke"))
        print(json.dumps([len(read("several")), found.metrics["psnr"]]))
    """)
    assert count > 0
    assert psnr > 20


def test_lpips_and_tables_say_what_to_install(alone):
    lpips, table = alone("""
        import json, torch; from uninv_lib import metrics, results
        pictures, told = torch.rand(1, 3, 32, 32), []
        for ask in (lambda: metrics.lpips(pictures, pictures), lambda: results.frame([])):
            try: ask()
            except ModuleNotFoundError as error: told.append(str(error))
        print(json.dumps(told))
    """)
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
