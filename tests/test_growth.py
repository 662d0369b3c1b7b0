"""A house that can grow: a new method is one file, its import and one line in a table, and is then
found wherever a reader would look for it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from interpreter import interpreter

import uninv_lib

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
METHOD = """
from typing import Annotated
import torch
from pydantic import Field
from uninv_lib.training import step

def climb(
    trained, forget, retain, *, rng: torch.Generator,
    climb_rate: Annotated[float, Field(gt=0, le=1, description="rate of the climb")] = 1e-3,
    climb_rounds: Annotated[int, Field(ge=1, le=9, description="rounds of the climb")] = 2,
):
    state = trained.state
    for _ in range(climb_rounds):
        state = step(trained.net, state, forget, -climb_rate)
    return state
"""
DEFENSE = """
from typing import Annotated
import torch
from pydantic import Field

def offset(
    unlearned, trained, retain, *, rng: torch.Generator,
    shift: Annotated[float, Field(gt=0, le=9, description="of each weight", examples=[0.1, 1])],
):
    names = [name for name, _ in trained.net.named_parameters()]
    return {n: t + shift if n in names else t for n, t in unlearned.items()}
"""
ADAPTIVE = """
from dataclasses import replace

def undone(view):
    after = dict(view.after)
    for name, _ in view.net.named_parameters():
        common = (after[name] - view.before[name]).median()
        after[name] = after[name] - common if abs(common) > 0.01 else after[name]
    return replace(view, after=after)
"""
ATTACK = """
from typing import Annotated
import torch
from pydantic import Field
from uninv_lib.attacks.session import Session
from uninv_lib.types import Reconstruction, WhiteBoxView

def shade(
    view: WhiteBoxView, *, session: Session, budget: str = "default",
    grey: Annotated[float, Field(ge=0, le=1, description="of every pixel")] = 0.25,
) -> Reconstruction:
    inputs = torch.full((view.num_forgotten, *view.input_shape), grey)
    labels = torch.zeros(view.num_forgotten, dtype=torch.long)
    return Reconstruction(inputs, labels, torch.ones(1, 1), 0.0)
"""
MODEL = """
from math import prod
from typing import Annotated
from pydantic import Field
from torch import nn

def narrow(
    shape, classes, *, hidden: Annotated[int, Field(ge=1, le=64, description="units")] = 4
):
    return [nn.Flatten(), nn.Linear(prod(shape), hidden), nn.Tanh(), nn.Linear(hidden, classes)]
"""
DATA = """
import torch
from uninv_lib.data.parts import cut
from uninv_lib.types import Dataset

def stripes():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    inputs = torch.rand(300, 1, 6, 6, generator=rng) / 2
    inputs[torch.arange(300), 0, labels] += 0.5
    return Dataset("stripes", *cut(inputs, labels, (150, 100)), tuple("abc"), "image")
"""
METRIC = """
def brightness(outcome):
    return {"": outcome.picture.inputs.mean().item()}
"""
GROWN = [
    ("unlearning/climb.py", METHOD),
    ("defenses/offset.py", DEFENSE),
    ("attacks/adaptive/offset.py", ADAPTIVE),
    ("attacks/features/shade.py", ATTACK),
    ("models/narrow.py", MODEL),
    ("data/stripes.py", DATA),
    ("measure/brightness.py", METRIC),
]
LINES = [  # of a table, and the line that it stands behind
    ("unlearning/__init__.py", '"retrain": retrain,', '    "climb": climb,'),
    ("defenses/__init__.py", '"none": none,', '    "offset": offset,'),
    ("attacks/adaptive/__init__.py", "ADAPTIVE: dict", '    "offset": undone,'),
    ("attacks/__init__.py", "ATTACKS: dict", '    "shade": Attack(shade),'),
    ("models/__init__.py", '"linear": linear,', '    "narrow": narrow,'),
    ("data/__init__.py", '"digits": digits,', '    "stripes": stripes,'),
    (
        "measure/__init__.py",
        "Reconstruction: {",
        '        "brightness": Metric("", "mean of the pixels", brightness),',
    ),
]


def grow(library):
    """Add each file, its import and its line."""
    for (file, text), (table, behind, line) in zip(GROWN, LINES, strict=True):
        (library / file).write_text(text)
        name = text.split("\ndef ")[1].split("(")[0]
        module = file.removesuffix(".py").replace("/", ".")
        lines = (library / table).read_text().splitlines()
        lines.insert(_where(lines, behind) + 1, line)
        lines.insert(_where(lines, "from uninv_lib."), f"from uninv_lib.{module} import {name}")
        (library / table).write_text("\n".join(lines))


def _where(lines, beginning):
    return next(i for i, line in enumerate(lines) if line.strip().startswith(beginning))


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The folder of a copy of the library that has grown."""
    folder = tmp_path_factory.mktemp("grown")
    library = folder / "uninv_lib"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(uninv_lib.__file__).parent, library, ignore=unwanted)
    grow(library)
    return folder


def with_grown(folder, *words):
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def python(grown):
    """python(program) -> what it printed as JSON."""
    beginning = "import uninv_lib.__main__, uninv_lib.book.chapter, uninv_lib.widgets"
    with interpreter(beginning, cwd=grown, env=os.environ | {"PYTHONPATH": str(grown)}) as ask:
        yield ask


SPEC = """
from uninv_lib import Spec, run
SMALL = {"dataset": "stripes", "model": "narrow", "budget": "smoke", "device": "cpu"}
CHOSEN = {"unlearning": "climb", "defense": "offset", "shift": 0.1, "attack": "shade"}
"""


def test_help_tells_what_is_new(python):
    told = python("""
        import json
        from click.testing import CliRunner
        from uninv_lib.__main__ import main
        print(json.dumps(" ".join(CliRunner().invoke(main, ["run", "--help"]).output.split())))
    """)
    for word in ("stripes", "narrow", "climb", "offset", "shade"):
        assert word in told
    for flag in ("--climb-rate", "--climb-rounds", "--shift", "--grey", "--hidden"):
        assert flag in told
    assert "climb: rate of the climb (default: 0.001)" in told


def test_a_record_holds_options_and_metrics_and_bounds_are_kept(python):
    found = python(
        SPEC
        + """
import json
from pydantic import ValidationError
from uninv_lib.spec import explain
faults = []
BEYOND = {"climb_rate": 2, "climb_rounds": 0, "shift": 10, "grey": -1, "hidden": 65}
for name, value in BEYOND.items():
    try:
        Spec(**SMALL, **{**CHOSEN, name: value})
    except ValidationError as error:
        faults.append(explain(error))
try:
    Spec(climb_rate=1e-3)
except ValidationError as error:
    faults.append(explain(error))
print(json.dumps([faults, json.loads(run(Spec(**SMALL, **CHOSEN)).model_dump_json())]))
"""
    )
    faults, record = found
    assert [fault.split(":")[0] for fault in faults] == [
        *("climb_rate", "climb_rounds", "shift", "grey", "hidden", "climb_rate")
    ]
    assert "an option of unlearning 'climb', not of 'gradient_ascent'" in faults[-1]
    options = {"climb_rate": 1e-3, "climb_rounds": 2, "shift": 0.1, "grey": 0.25, "hidden": 4}
    assert options.items() <= record["spec"].items()
    assert record["metrics"]["brightness"] == 0.25
    assert {"gain", "gain_adaptive", "psnr_adaptive"} <= record["metrics"].keys()


def test_a_chapter_takes_it_as_a_parameter(python):
    found = python("""
        import json
        from uninv_lib.book.chapter import spec_of
        cell = 'dataset: str = "stripes"\\nunlearning: str = "retrain"\\nclimb_rate: float = 0.5'
        injected = '# Parameters\\nunlearning = "climb"\\n'
        names = {"In": ["", cell, injected]}
        exec(cell, names); exec(injected, names)
        plain = {"In": ["", cell]}
        exec(cell, plain)
        first, second = spec_of(names), spec_of(plain)
        print(json.dumps([first.climb_rate, "climb_rate" in second.model_dump()]))
    """)
    assert found == [0.5, False]


def test_a_sweep_runs_it_and_its_table_and_report_show_it(python, tmp_path):
    found = python(
        SPEC
        + f"""
import json
from pathlib import Path
from uninv_lib.runs.collect import collect, table
from uninv_lib.runs.plan import plan
from uninv_lib.runs.report import report
folder = Path({str(tmp_path)!r})
grid = {{"spec": {{**SMALL, **CHOSEN}}, "grid": {{"climb_rounds": [1, 3], "request": [0, 1]}}}}
(folder / "grid.yaml").write_text(json.dumps(grid))
runs = plan(folder / "grid.yaml")
lines = [run.work(run.inputs)["records.jsonl"].decode() for run in runs]
(folder / "records.jsonl").write_text("".join(lines))
report(folder / "records.jsonl", folder / "report.html")
columns = list(table(folder / "records.jsonl", folder))
print(json.dumps([len(runs), columns, (folder / "report.html").read_text()]))
"""
    )
    runs, columns, page = found
    assert runs == 4
    assert {"climb_rounds", "shift", "grey", "hidden", "brightness"} <= set(columns)
    assert "brightness" in page
    assert "climb_rounds" in page


def test_a_lab_shows_it(python):
    defense, unlearning = python("""
        import json
        from uninv_lib.widgets.presentation import presentation
        shown = presentation()
        print(json.dumps([shown["defense"]["offset"], shown["unlearning"]["climb"]]))
    """)
    assert {"name", "colour", "glyph", "path"} <= defense.keys()
    assert defense["adaptive"]
    assert unlearning["options"] == ["climb_rate", "climb_rounds"]


@pytest.mark.long
def test_the_contracts_hold_for_it(grown):
    contracts = next(Path(__file__).parent.rglob("test_contracts.py"))
    chosen = "climb or offset or shade or (option and (narrow or stripes))"
    config = str(ROOT / "pyproject.toml")
    done = with_grown(grown, "-m", "pytest", str(contracts), "-c", config, "-q", "-k", chosen)
    assert done.returncode == 0, done.stdout[-3000:]
