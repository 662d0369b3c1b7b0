"""The parameters of a notebook, checked before it is run."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticUndefinedAnnotation, create_model

from uninv_lib.methods import applicable, read_options
from uninv_lib.runs.work import Notebook, Run, named
from uninv_lib.spec import Spec, known_fields
from uninv_lib.support.code import code_of_cells
from uninv_lib.support.extras import needs
from uninv_lib.types import unknown

with needs("sweep"):
    import papermill

STRICT = ConfigDict(extra="forbid")


def notebook_runs(path: Path) -> Callable[[Mapping[str, Any]], Run]:
    """A function from parameters to the run of the notebook with them, the others at their
    defaults.

    That function raises ValueError for an unknown parameter, for a value that the parameter's
    annotation does not take, and for one that the field of Spec of that name does not. Raises
    ValueError for what is no notebook, and OSError.
    """
    source = path.read_text(encoding="utf-8")
    try:
        code_of_cells(json.loads(source)["cells"])
        found = papermill.inspect_notebook(str(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"notebook: {path.name}: {error!r}; allowed: format 4") from error
    types: dict[str, Any] = {name: _type_and_default(about) for name, about in found.items()}
    typed = create_model("Parameters", __config__=STRICT, **types)
    try:
        typed.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        raise ValueError(
            f"notebook: {path.name}: {error.message}; allowed: a plain type"
        ) from error
    work = Notebook(path.name, source, typed().model_dump(mode="json"))

    def make(fields: Mapping[str, Any]) -> Run:
        for name in fields:
            if name not in types:
                raise ValueError(unknown("parameter", name, list(types)))
        values = typed(**fields).model_dump(mode="json")
        own = {name: fields[name] for name in fields if name in Spec.model_fields}
        _core(own)(**own)
        known = known_fields()
        settled = applicable(
            {name: value for name, value in values.items() if name in known},
            quiet=values.keys() - fields,
        )
        read_options(settled, Spec.model_fields)
        return named(values, work, work.code, notebook=path.name)

    return make


def _type_and_default(about: Mapping[str, Any]) -> tuple[Any, Any]:
    annotation, default = about["inferred_type_name"], about["default"]
    try:
        return (Any if annotation == "None" else annotation), ast.literal_eval(default)
    except (ValueError, SyntaxError) as error:
        told = f"parameter {about['name']}: default {default}; allowed: a literal"
        raise ValueError(told) from error


def _core(names: Mapping[str, Any]) -> type[BaseModel]:
    """A model of these fields of Spec alone: what a chapter fixes beside them is its own affair."""
    fields: dict[str, Any] = {
        n: (f.annotation, f) for n, f in Spec.model_fields.items() if n in names
    }
    return create_model("Fields", **fields)
