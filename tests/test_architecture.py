"""The floors of the house, its two walls, and what `import uninv_lib` may ask for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "uninv_lib"
FLOORS = [
    {"support", "types"},
    {"metrics", "options"},
    {"data", "models", "anatomy"},
    {"training"},
    {"unlearning", "defenses", "attacks", "forecast", "service"},
    {"methods", "spec", "inspection"},
    {"scene", "shadows"},
    {"measure", "experiment"},
    {"results", "claims", "cards", "figures", "ledger"},
    {"runs", "widgets", "book"},
    {"__main__"},
]
DEVELOPER = {"data", "training", "unlearning", "defenses", "forecast"}


def imports():
    """(importing part, imported part) of the library, one pair a statement; the package's own front
    is left out.
    """
    for file in LIBRARY.rglob("*.py"):
        part = file.relative_to(LIBRARY).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").split(".")[0] == "uninv_lib"
            ):
                names = (
                    [node.module.split(".")[1]]
                    if "." in node.module
                    else [alias.name for alias in node.names]
                )
                yield from ((part, name) for name in names if part != "__init__")
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"


def floor(part):
    return next((i for i, parts in enumerate(FLOORS) if part in parts), None)


def test_imports_go_down_only():
    for part, other in imports():
        assert floor(part) is not None, f"{part} stands on no floor"
        assert part == other or floor(other) <= floor(part), f"{part} imports {other}"


def test_two_walls_stand_between_the_attacks_and_the_developer():
    pairs = set(imports())
    assert not {pair for pair in pairs if pair[0] == "attacks" and pair[1] in DEVELOPER}
    assert not {pair for pair in pairs if pair[1] == "attacks" and pair[0] in DEVELOPER}


def test_the_library_needs_none_of_the_books_packages():
    program = (
        "import sys, uninv_lib\n"
        "from uninv_lib import Spec\n"
        "heavy = 'papermill distributed nbformat sphinx IPython anywidget matplotlib seaborn "
        "pandas torchvision '\n"
        "heavy += 'sklearn skimage'\n"
        "sys.exit(str([name for name in heavy.split() if name in sys.modules] or ''))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not result.stderr.strip(), result.stderr


@pytest.mark.parametrize(
    "file", sorted(LIBRARY.rglob("*.py")), ids=lambda f: f.relative_to(LIBRARY).as_posix()
)
def test_files_are_short_enough_to_read_at_once(file):
    assert len(file.read_text().splitlines()) <= 400
