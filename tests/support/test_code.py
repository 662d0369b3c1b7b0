"""What a run depends on is found: a change of code that it runs renames it, any other does not."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import pytest

from uninv_lib import Spec, prepare
from uninv_lib.book.build import chapter_key
from uninv_lib.experiment import code_of_run, probes_of
from uninv_lib.runs.work import Notebook
from uninv_lib.scene import pretrain
from uninv_lib.support import code

SMALL = {"dataset": "digits", "budget": "smoke", "device": "cpu"}
FEATURES = Spec(**SMALL, width=2, defense="pruning", strength=0.5)
SHARDED = Spec(**SMALL, model="linear", training="sharded", unlearning="sisa")
LABELS = Spec(**SMALL, model="mlp", attack="labels", private_size=200, forget_share=0.5)


@pytest.fixture
def library(tmp_path_factory, monkeypatch):
    """A copy of the library, whose files are hashed in place of the library's own; always in one
    place, since what was parsed is kept with its place.
    """
    copy = tmp_path_factory.getbasetemp() / "copied" / "uninv_lib"
    shutil.rmtree(copy.parent, ignore_errors=True)
    shutil.copytree(code.LIBRARY, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "LIBRARY", copy)
    yield copy
    forget()


def forget():
    code._code.cache_clear()


def of_run(library):
    return code_of_run(FEATURES)


def of_sharded(library):
    return code_of_run(SHARDED)


def of_labels(library):
    return code_of_run(LABELS)


def kept_as(monkeypatch, module, ask):
    """The name under which something is kept."""
    names = []
    with monkeypatch.context() as patch:
        original = import_module(module).kept

        def spy(stage, key, compute):
            names.append(key)
            return original(stage, key, compute)

        patch.setattr(f"{module}.kept", spy)
        ask()
    return names[-1]


def of_pretraining(library):
    with pytest.MonkeyPatch.context() as patch:
        return kept_as(patch, "uninv_lib.training.pretraining", lambda: pretrain(FEATURES))


@lru_cache(maxsize=1)
def labelled():
    """One scene for all: its models, and with them the names of what is kept, are the same."""
    return prepare(LABELS)


def of_probes(library):
    scene = labelled()
    with pytest.MonkeyPatch.context() as patch:
        return kept_as(patch, "uninv_lib.experiment", lambda: probes_of(scene))


def of_chapter(library):
    root = library.parent
    (root / "book").mkdir(exist_ok=True)
    (root / "results").mkdir(exist_ok=True)
    cell = '{"cell_type": "code", "source": ["%matplotlib inline\\n", "from uninv_lib import run"]}'
    (root / "book" / "chapter.ipynb").write_text(f'{{"cells": [{cell}]}}')
    return chapter_key(root, Path("book/chapter.ipynb"))


INSIDE = [
    (of_run, "unlearning/gradient_ascent.py"),
    (of_run, "defenses/pruning.py"),
    (of_run, "attacks/adaptive/pruning.py"),
    (of_run, "attacks/features/fast.py"),
    (of_run, "attacks/search/costs.py"),
    (of_run, "models/convnet.py"),
    (of_run, "data/embedded.py"),
    (of_run, "measure/features.py"),
    (of_run, "scene.py"),
    (of_run, "experiment.py"),
    (of_sharded, "unlearning/sisa.py"),
    (of_sharded, "training/sharded.py"),
    (of_sharded, "models/ensemble.py"),
    (of_labels, "attacks/labels/answers.py"),
    (of_labels, "attacks/labels/probes/zoo.py"),
    (of_labels, "measure/labels.py"),
    (of_pretraining, "training/sgd.py"),
    (of_pretraining, "models/convnet.py"),
    (of_pretraining, "data/parts.py"),
    (of_probes, "service.py"),
    (of_probes, "attacks/labels/probes/zoo.py"),
    (of_probes, "attacks/labels/answers.py"),
    (of_chapter, "attacks/search/costs.py"),
    (of_chapter, "unlearning/retrain.py"),
]
OUTSIDE = [
    (of_run, "unlearning/retrain.py"),
    (of_run, "unlearning/sisa.py"),
    (of_sharded, "unlearning/gradient_ascent.py"),
    (of_run, "defenses/obfuscation.py"),
    (of_run, "models/mlp.py"),
    (of_run, "data/folder.py"),
    (of_run, "widgets/base.py"),
    (of_run, "claims.py"),
    (of_labels, "measure/features.py"),
    (of_labels, "attacks/features/paper.py"),
    (of_pretraining, "models/mlp.py"),
    (of_pretraining, "scene.py"),
    (of_pretraining, "training/one_epoch.py"),
    (of_probes, "attacks/features/fast.py"),
    (of_probes, "scene.py"),
    (of_chapter, "widgets/base.py"),
    (of_probes, "attacks/labels/probes/gradient.py"),
]


def changed(library, file):
    path = library / file
    path.write_text(path.read_text() + "\n# changed\n")
    forget()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), INSIDE)
def test_a_change_of_what_runs_gives_a_new_name(name, file, library):
    before = name(library)
    changed(library, file)
    assert name(library) != before


@pytest.mark.parametrize(("name", "file"), OUTSIDE)
def test_a_change_of_what_does_not_run_leaves_the_name(name, file, library):
    before = name(library)
    changed(library, file)
    assert name(library) == before


@pytest.mark.parametrize("name", [of_run, of_labels, of_pretraining, of_probes])
def test_a_new_method_renames_nothing_that_was_there(name, library):
    before = name(library)
    (library / "defenses" / "more.py").write_text(
        "def more(unlearned, trained, retain, *, rng): ...\n"
    )
    table = library / "defenses" / "__init__.py"
    text = table.read_text().replace(
        '    "none": none,\n', '    "none": none,\n    "more": more,\n'
    )
    table.write_text("from uninv_lib.defenses.more import more\n" + text)
    forget()
    assert name(library) == before


def test_a_chapter_that_shows_a_widget_depends_on_its_page(library):
    source = "from uninv_lib.widgets import DefenseLab"
    before = code.code_of_source(source, library=library)
    changed(library, "widgets/js/bench.js")
    assert code.code_of_source(source, library=library) != before


def test_many_threads_may_ask_at_once():
    source = "from uninv_lib import run\nfrom uninv_lib.widgets import DefenseLab"
    with ThreadPoolExecutor(8) as pool:
        code.parsed.cache_clear()
        assert len(set(pool.map(code.code_of_source, [source] * 8))) == 1


CELLS = ["files = !ls", "run?", "a = %time run()", "if files:\n    %time run()", "%time run()"]


@pytest.mark.parametrize("line", CELLS)
def test_what_a_cell_imports_counts_beside_what_only_ipython_understands(line):
    cell = {"cell_type": "code", "source": f"from uninv_lib import run\n{line}\nx = 1"}
    found = code.code_of_cells([cell])
    assert found.startswith("from uninv_lib import run\n")
    assert found.endswith("\nx = 1")


def test_a_run_of_a_notebook_is_renamed_by_whatever_changes_in_a_code_cell():
    def coded(source, kind="code"):
        cells = [{"cell_type": kind, "source": [source]}]
        return Notebook("a.ipynb", json.dumps({"cells": cells})).code({})

    assert coded("files = !ls a") != coded("files = !ls b")
    assert coded("read me", "markdown") == coded("read again", "markdown")


def test_a_method_of_a_users_own_counts_by_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for number, text in enumerate(("def mine(): ...", "def mine(): return 1")):
        (tmp_path / f"own{number}.py").write_text(text)
        found.append(code.code_of(import_module(f"own{number}").mine))
    assert found[0] != found[1]
    assert code.code_of(print) == code.code_of(len)


def test_a_relative_import_is_followed(library):
    (library / "support" / "near.py").write_text("from . import files\nfrom ..data import parts\n")
    found = code.Closure(library)
    found.add("uninv_lib.support.near")
    assert {"uninv_lib.support.files", "uninv_lib.data.parts"} <= found.texts.keys()
