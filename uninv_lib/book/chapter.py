"""One run of a chapter with papermill: its parameters, checked, and its Records, kept beside the
output notebook.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from uninv_lib.experiment import run
from uninv_lib.methods import applicable
from uninv_lib.scene import fitting
from uninv_lib.spec import Spec, explain, known_fields
from uninv_lib.support.extras import needs
from uninv_lib.support.files import whole
from uninv_lib.types import unknown

with needs("sweep"):
    import psutil

INJECTED = "# Parameters\n"
"""How the cell begins that papermill puts below the parameters cell."""
BUILT_IN = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")


class ParameterError(ValueError):
    """A parameter that a chapter cannot take. A notebook shows its message alone, without the calls
    that led there.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"ParameterError: {self}"]


def spec_of(notebook: Mapping[str, Any], **fixed: Any) -> Spec:
    """The Spec of a chapter's parameters; `notebook` is its globals(), `fixed` are fields that it
    does not vary. Sizes that nobody chose are lowered to what the data set has, and that is
    printed.

    Raises ParameterError for a name that papermill injected and that is no parameter of the
    chapter, for a value that is not allowed, and for data that cannot be read.
    """
    names, injected = _parameters(notebook["In"])
    for name in injected:
        if name not in (*names, *BUILT_IN):
            raise ParameterError(unknown("parameter", name, names))
    known = known_fields()
    fields = {name: notebook[name] for name in names if name in known} | fixed
    quiet = set(names) - set(injected) - set(fixed)
    try:
        spec = Spec(**applicable(fields, quiet=quiet))
        spec, said = fitting(spec, known.keys() - fixed.keys() - set(injected))
    except ValidationError as error:
        raise ParameterError(explain(error)) from None
    except (ValueError, OSError, RuntimeError) as error:
        raise ParameterError(str(error)) from None
    if said:
        print(said)
    return spec


def _parameters(cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names in the parameters cell, which holds annotated assignments alone, and those injected
    below it.
    """
    names: list[str] = []
    injected: list[str] = []
    for cell in cells:
        with suppress(SyntaxError):  # a slip of the reader's further up
            body = ast.parse(cell).body
            targets = [n.target for n in body if isinstance(n, ast.AnnAssign)]
            if targets and len(targets) == len(body):
                names, injected = [ast.unparse(target) for target in targets], []
            elif cell.startswith(INJECTED):
                injected = [ast.unparse(n.targets[0]) for n in body if isinstance(n, ast.Assign)]
    return names, injected


def save_records(notebook: Mapping[str, Any], *specs: Spec) -> None:
    """Run each Spec, and write the Records to NAME.records.jsonl where papermill executes the
    chapter to NAME.ipynb.

    One Record a line, as in results/; the file appears whole, or not at all. Where no output
    notebook is known, in JupyterLab or the book, nothing is run. Raises what `run` raises, and
    OSError where the file cannot be written.
    """
    output = _output(notebook)
    if output is None:
        return
    file = output.with_name(output.name.removesuffix(".ipynb") + ".records.jsonl")
    lines = [run(spec).model_dump_json() + "\n" for spec in dict.fromkeys(specs)]
    with whole(file) as draft:
        draft.write_text("".join(lines), encoding="utf-8")
    print(f"Records in {file.name}: {len(lines)}")


def _output(notebook: Mapping[str, Any]) -> Path | None:
    """The notebook that papermill writes: an argument of the command that started this kernel, or
    injected.
    """
    given, base = notebook.get("PAPERMILL_OUTPUT_PATH", ""), ""
    with suppress(
        ImportError, psutil.Error
    ):  # papermill in another environment, a process of another user
        parent = psutil.Process(os.getppid())
        words = parent.cmdline()
        for at, word in enumerate(words[:3]):
            if Path(word).stem == "papermill":
                from papermill.cli import papermill

                context = papermill.make_context(
                    "papermill", words[at + 1 :], resilient_parsing=True
                )
                given, base = context.params["output_path"], parent.cwd()
    with suppress(KeyError):  # a name that only papermill knows, as {pm.run_uuid}
        return Path(base, given.format(**notebook)) if given not in ("", "-") else None
    return None
