"""Specs of a grid, and the Records of a file as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from uninv_lib.measure.features import NULLS, gains
from uninv_lib.spec import Record, Spec, explain
from uninv_lib.support.extras import needs

if TYPE_CHECKING:
    import pandas

RESULTS = Path(__file__).resolve().parents[1] / "results"
"""The committed Records of the long runs, in a checkout of the project."""


def names_of(axis: str) -> list[str]:
    """The parameters that take the values of an axis: "seed, model_seed" names two."""
    return [name.strip() for name in axis.split(",")]


def combinations(axes: Mapping[str, Iterable[Any]]) -> Iterator[dict[str, Any]]:
    """The fields of each combination of the axes' values, the last axis fastest."""
    for values in product(*axes.values()):
        varied = zip(axes, values, strict=True)
        yield {name: value for axis, value in varied for name in names_of(axis)}


def grid(**axes: Any) -> list[Spec]:
    """The Specs of every combination: a list or a range is an axis, anything else is common to all.

    Fields that take the same values are one axis: grid(**{"seed, model_seed": range(5)},
    dataset="digits").
    """
    lists = {
        name: value if isinstance(value, (list, range)) else [value] for name, value in axes.items()
    }
    return [Spec(**fields) for fields in combinations(lists)]


def read(file: Path | str) -> list[Record]:
    """The Records of a file, or of results/NAME.jsonl for a bare NAME. A torn last line is left
    out. Raises FileNotFoundError, and ValueError that names the line which is no Record.
    """
    path = RESULTS / f"{file}.jsonl" if isinstance(file, str) else file
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in RESULTS.glob("*.jsonl"))) or "nothing"
        raise FileNotFoundError(f"results: no {path.name} in {path.parent}; there: {there}")
    *lines, last = path.read_text(encoding="utf-8").split("\n")
    if _is_json(last):
        lines.append(last)
    return [_record(line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _is_json(line: str) -> bool:
    """Whether a last line, which no line's end follows, is whole all the same."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _record(line: str, number: int) -> Record:
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        fault = explain(error).split("\n")[0]
        raise ValueError(f"line {number} is no Record: {fault}") from error


def row(record: Record) -> dict[str, Any]:
    """The fields of a Record's Spec, its metrics (gain also of a Record that was made before there
    was one), and its seconds by stage.
    """
    has_nulls = {f"psnr_{null}" for null in NULLS} <= record.metrics.keys()
    found = (gains(record.metrics) if has_nulls else {}) | record.metrics
    seconds = {f"seconds_{stage}": value for stage, value in record.seconds.items()}
    fields = record.spec.model_dump() | {"knowledge": " ".join(record.spec.knowledge) or "none"}
    return fields | found | seconds


def frame(records: Iterable[Record]) -> pandas.DataFrame:
    """A table with one `row` a Record."""
    with needs("figures"):
        import pandas

    return pandas.DataFrame([row(record) for record in records])
