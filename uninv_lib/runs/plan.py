"""A grid file -> the runs that it asks for, all of them checked before the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from uninv_lib.results import combinations, names_of
from uninv_lib.runs.work import Run, code_of_spec, named, run_spec
from uninv_lib.spec import Spec, explain
from uninv_lib.support.extras import needs
from uninv_lib.types import unknown

with needs("sweep"):
    import yaml


LIKE = """a grid looks like this:
  spec: {dataset: digits, model: linear}
  grid: {seed: {start: 0, count: 5}, unlearning_rate: [0.001, 0.01]}"""


class PlanError(ValueError):
    """A grid file that cannot be run, with all its faults."""


class Once(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Refuses a key that a mapping has twice, of which YAML's own loader takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As YAML does it. Raises PlanError for a key given twice."""
        plain = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(plain) < len(node.value):
            line = node.start_mark.line + 1
            raise PlanError(f"line {line}: a list or a mapping as a key; allowed: a name")
        keys = Counter(key.value for key in plain if key.tag != MERGE)
        if twice := sorted(name for name, times in keys.items() if times > 1):
            line = node.start_mark.line + 1
            raise PlanError(f"line {line}: {', '.join(twice)}: given twice; allowed: once")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


MERGE = "tag:yaml.org,2002:merge"
"""The key "<<", under which YAML takes the values of another mapping; they may be overridden."""


class Count(BaseModel):
    """`count` whole numbers from `start`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    start: int
    count: int = Field(ge=1)


def _kind(axis: Any) -> str:
    """Which of the two forms of an axis was meant, so that one fault is told of one."""
    return "count" if isinstance(axis, (dict, Count)) else "list"


Axis = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[Count, Tag("count")],
    Discriminator(_kind),
]


class Grid(BaseModel):
    """One grid of a file: what all of its runs share, and the values of each axis."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any] | None = Field(None, description="fields of Spec that all runs share")
    notebook: Path | None = Field(
        None, description="a notebook with a cell of parameters; relative to the file"
    )
    grid: dict[str, Axis] = Field(
        {},
        description=(
            "values of a field or a parameter, or of several that take the same: a list, or "
            "start and count"
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _mapping_of_known_keys(cls, found: Any) -> Any:
        if not isinstance(found, dict):
            came = "nothing" if found is None else repr(found)
            raise ValueError(f"allowed: a mapping; {came} came")
        for key in found:
            if key not in cls.model_fields:
                raise ValueError(unknown("key", key, list(cls.model_fields)))
        for key in ("spec", "grid"):
            if key in found and not isinstance(found[key], dict):
                told = f"{key}: allowed: a mapping of names to values"
                raise ValueError(f"{told}; {found[key]!r} came")
        return found

    @model_validator(mode="after")
    def _one_kind(self) -> Grid:
        if (self.spec is None) == (self.notebook is None):
            raise ValueError("spec, notebook: give one of the two")
        names = Counter(
            [*(self.spec or ()), *(name for axis in self.grid for name in names_of(axis))]
        )
        if twice := sorted(name for name, times in names.items() if times > 1):
            raise ValueError(f"{', '.join(twice)}: given twice; allowed: once, in spec or in grid")
        return self

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The fields of each run, the last axis fastest."""
        axes = {
            names: range(axis.start, axis.start + axis.count) if isinstance(axis, Count) else axis
            for names, axis in self.grid.items()
        }
        return ({**(self.spec or {}), **fields} for fields in combinations(axes))


def plan(file: Path) -> list[Run]:
    """The runs of a grid file, each once, in its order. The file holds one grid, or a list of them.

    Raises PlanError with every fault, and OSError where the file cannot be read.
    """
    try:
        grids = _grids(yaml.load(file.read_text(encoding="utf-8"), Once))  # a kind of safe loader
    except (yaml.YAMLError, UnicodeDecodeError, PlanError) as error:
        raise PlanError(f"{file}: {error}\n{LIKE}") from error
    except ValidationError as error:
        raise PlanError(f"{file}: {explain(error)}\n{LIKE}") from error
    runs: dict[str, Run] = {}
    faults: dict[str, list[str]] = {}
    number = 0
    for grid in grids:
        make = _of_spec if grid.notebook is None else _of_notebook(file, grid.notebook)
        for fields in grid.combinations():
            number += 1
            try:
                run = make(fields)
            except ValueError as error:
                fault = explain(error) if isinstance(error, ValidationError) else str(error)
                faults.setdefault(fault, []).append(f"{number}, {fields}")
            else:
                runs.setdefault(run.name, run)
    if faults:
        lines = [
            f"{fault}\n  in {len(where)} of {number} runs, first in {where[0]}"
            for fault, where in faults.items()
        ]
        raise PlanError("\n".join([f"{file}: nothing was run", *lines]))
    return list(runs.values())


def _grids(found: Any) -> list[Grid]:
    """Of one mapping, or of a list of them, where a fault is told with its number from 0."""
    if not isinstance(found, list):
        return [Grid.model_validate(found)]
    if not found:
        raise PlanError("an empty list; allowed: one grid or more")
    return TypeAdapter(list[Grid]).validate_python(found)


def _of_spec(fields: Mapping[str, Any]) -> Run:
    return named(Spec(**fields).model_dump(mode="json"), run_spec, code_of_spec)


def _of_notebook(file: Path, notebook: Path) -> Callable[[Mapping[str, Any]], Run]:
    from uninv_lib.runs.parameters import notebook_runs

    path = file.parent / notebook
    if not path.is_file():
        raise PlanError(f"{file}: notebook: {notebook}; no file {path.resolve()}")
    return notebook_runs(path)
