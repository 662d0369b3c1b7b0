"""code_of(functions): a hash of the code that they run, found by following imports.

Three rules. A module that is reached counts whole, and so do the modules that it imports. The front
of a package (its `__init__`) is never counted whole: of it counts what is asked for by name, where
that name is defined. A table in such a front, a name that is assigned there, leads nowhere: which
of its entries runs is chosen by a Spec, and whoever hashes a run names the chosen functions
himself.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from uninv_lib.support.cache import digest

PACKAGE = "uninv_lib"
LIBRARY = Path(__file__).parents[1]


def code_of(*functions: Callable[..., object]) -> str:
    """Hash of torch's version and of all the code of this library that these functions may run, 16
    hex digits.

    Of others, such as a user's own in a notebook, their file or cell counts, if it is Python's, and
    not what it imports. Raises SyntaxError where a file of the library is none of Python.
    """
    names = {
        (getattr(f, "__module__", None) or "", f.__qualname__.split(".")[0]) for f in functions
    }
    others = {f for f in functions if _package(getattr(f, "__module__", None)) != PACKAGE}
    return _code(tuple(sorted(names)), tuple(sorted(map(_text, others))))


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _text(function: Callable[..., object]) -> str:
    """The file or the cell that a function stands in; nothing of what is not written in Python."""
    with suppress(OSError, TypeError):
        return "".join(inspect.findsource(inspect.unwrap(function))[0])
    return ""


@lru_cache
def _code(names: tuple[tuple[str, str], ...], others: tuple[str, ...]) -> str:
    closure = Closure(LIBRARY, texts={f"other {i}": text for i, text in enumerate(others)})
    for module, name in names:
        closure.add(module, name)
    return closure.hash()


def code_of_source(source: str, *, library: Path = LIBRARY) -> str:
    """The same of a text of Python, such as a notebook's cells: of all that it imports, and of
    whole packages with their tables, since it may choose any entry, and their pages' files (.js,
    .css).
    """
    closure = Closure(library, tables=True)
    closure.follow(parsed(source))
    return closure.hash()


@dataclass
class Closure:
    """What was reached so far: the text of each module, and of each definition in a package's
    front.
    """

    library: Path
    tables: bool = False
    texts: dict[str, str] = field(default_factory=dict)

    def hash(self) -> str:
        """Of torch's version and all texts, 16 hex digits."""
        return digest(torch.__version__.split("+")[0], self.texts)

    def add(self, module: str, name: str | None = None) -> None:
        """A module of the library, or what one name in it stands for."""
        file = self.library.joinpath(*module.split(".")[1:])
        if _package(module) != PACKAGE:
            return
        if name and self._is_module(file / name):
            self.add(f"{module}.{name}")
        elif (file / "__init__.py").exists():
            self._add_front(module, file / "__init__.py", name)
        elif module not in self.texts:
            self.texts[module] = file.with_suffix(".py").read_text(encoding="utf-8")
            self.follow(parsed(self.texts[module], f"{file}.py"), module.rpartition(".")[0])

    @staticmethod
    def _is_module(path: Path) -> bool:
        return path.with_suffix(".py").exists() or (path / "__init__.py").exists()

    def follow(self, tree: ast.AST, package: str = "") -> None:
        """Add what the imports of a tree lead to, relative ones from this package."""
        for module, name, _ in imports(tree, package):
            self.add(module, name)

    def _add_front(self, module: str, file: Path, name: str | None) -> None:
        """What the front of a package holds under this name: an import is followed, a definition
        counts with what it names in turn, a table only where tables count.
        """
        if f"{module}.{name}" in self.texts or name is None:
            return
        text = file.read_text(encoding="utf-8")
        tree = parsed(text, str(file))
        if self.tables:
            if module not in self.texts:
                self.texts[module] = text
                self._add_pages(module, file.parent)
                self.follow(tree, module)
            return
        for origin, original, known in imports(tree, module):
            if known == name:
                self.add(origin, original)
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
                self.texts[f"{module}.{name}"] = ast.get_source_segment(text, node) or ""
                self.follow(node, module)
                for used in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {name}:
                    self._add_front(module, file, used)

    def _add_pages(self, module: str, folder: Path) -> None:
        for file in sorted([*folder.glob("*.*"), *folder.glob("js/*")]):
            if file.suffix in (".js", ".css", ".html"):
                self.texts[f"{module}/{file.name}"] = file.read_text(encoding="utf-8")


PARSING = Lock()
"""Python 3.11 counts the depth of its parser for all threads together, and two at once end it."""


@lru_cache(maxsize=512)
def parsed(text: str, file: str = "<cell>") -> ast.Module:
    """The tree of a text of Python. Raises SyntaxError, which names the file."""
    with PARSING:
        return ast.parse(text, file)


@lru_cache(maxsize=2048)
def imports(tree: ast.AST, package: str = "") -> list[tuple[str, str | None, str]]:
    """(module, name in it or None, as it is known here) of each import in the tree, at any
    depth; relative ones from this package. Kept, since a package's front is asked for name by name.
    """
    found: list[tuple[str, str | None, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(a.name, None, a.asname or a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            found += [(module, a.name, a.asname or a.name) for a in node.names]
    return found


def _absolute(node: ast.ImportFrom, package: str) -> str:
    above = package.split(".")
    base = above[: len(above) + 1 - node.level] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


MAGIC = ("%", "!", "?")
"""How a line begins that only IPython understands."""


def code_of_cells(cells: Sequence[Mapping[str, Any]]) -> str:
    """The Python of a notebook's code cells: without lines that only IPython understands, as
    `files = !ls` and `run?` are, too.
    """
    texts = []
    for cell in cells:
        lines = "".join(cell["source"]).split("\n") if cell["cell_type"] == "code" else []
        texts.append(_python([_idle(n) if n.lstrip()[:1] in MAGIC else n for n in lines]))
    return "\n".join(texts)


def _python(lines: list[str]) -> str:
    """These lines, those at which Python stumbles made idle, or left out if that does not help."""
    while lines:
        try:
            parsed("\n".join(lines))
            break
        except SyntaxError as error:
            at = min(error.lineno or 1, len(lines))
            idle = _idle(lines[at - 1])
            lines = [*lines[: at - 1], *[idle] * (idle != lines[at - 1]), *lines[at:]]
    return "\n".join(lines)


def _idle(line: str) -> str:
    return f"{line[: len(line) - len(line.lstrip())]}pass"
