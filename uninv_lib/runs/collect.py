"""The runs of a folder, or the Records of a file, as one table."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from uninv_lib.results import read, row
from uninv_lib.runs.store import Store
from uninv_lib.runs.work import NOTEBOOK, RECORDS, SCHEMA
from uninv_lib.spec import Record, known_fields
from uninv_lib.support.extras import needs
from uninv_lib.support.files import whole

if TYPE_CHECKING:
    import pandas
    from pydantic.fields import FieldInfo

ORIGIN = {
    "run": "string",
    "seconds": "Float64",
    "finished": "string",
    "threads": "Int64",
    "code": "string",
    "schema": "Int64",
    "notebook": "string",
}
"""The columns that say where a row comes from, of `done.json`, and their types."""
TYPES = {
    "integer": "Int64",
    "floating": "Float64",
    "mixed-integer-float": "Float64",
    "boolean": "boolean",
}
"""What pandas finds in a column -> its type; else a string."""


def table(source: Path, home: Path) -> pandas.DataFrame:
    """One row a Record: the fields of its Spec, its metrics, its seconds by stage, and where it
    comes from.

    A Spec's run has one Record; a notebook's run as many as it saved, or one row without metrics.
    Its parameters that are no fields of Spec are columns parameter_NAME, and `notebook` is the
    executed one, relative to the folder `home`. Of several runs of the same inputs, under older
    code, the last stands. `source` is the folder of a sweep, a .jsonl file of Records, or a
    .parquet or .csv file that `collect` made. Raises FileNotFoundError, and ValueError for a file
    or a folder of something else.
    """
    with needs("sweep"):
        import pandas

    if source.suffix in (".parquet", ".csv"):
        found = _made_by_collect(source)
        links = [
            None if pandas.isna(link) else _relative(source.parent / link, home)
            for link in found["notebook"]
        ]
        return found.assign(notebook=pandas.Series(links, index=found.index, dtype="string"))
    found = pandas.DataFrame(list(_rows(source, home)), dtype=object)
    if found.empty:
        raise ValueError(
            f"{source}: no finished run; allowed: the folder of a sweep, or a .jsonl file of "
            "Records"
        )
    return _typed(found)


def _made_by_collect(source: Path) -> pandas.DataFrame:
    try:
        found = _read(source)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source}: not a table of `collect`: {error}") from error
    if absent := [name for name in ORIGIN if name not in found]:
        raise ValueError(f"{source}: no column {', '.join(absent)}; allowed: a table of `collect`")
    return found


def _read(source: Path) -> pandas.DataFrame:
    import pandas

    if source.suffix == ".parquet":
        return pandas.read_parquet(source)
    return _typed(
        pandas.read_csv(
            source,
            keep_default_na=False,
            na_values=[""],
            dtype_backend="numpy_nullable",
            float_precision="round_trip",
        )
    )


def _typed(found: pandas.DataFrame) -> pandas.DataFrame:
    """Each column with the type of its field of Spec, or of ORIGIN, else of its values; what is
    absent is NA.
    """
    from pandas.api.types import infer_dtype

    kinds = ORIGIN | {name: _kind(abouts) for name, abouts in known_fields().items()}
    return found.astype(
        {n: kinds.get(n) or TYPES.get(infer_dtype(found[n], skipna=True), "string") for n in found}
    )


def _kind(abouts: Iterable[FieldInfo]) -> str:
    """The type of a column: the widest of what the methods that have this option take."""
    allowed = {kind for about in abouts for kind in (about.annotation, *get_args(about.annotation))}
    return "Float64" if float in allowed else "Int64" if int in allowed else "string"


def collect(source: Path, target: Path) -> int:
    """Write the table of `source` to `target`, whole or not at all; returns the number of rows.

    As .jsonl: the Records alone, a line each, as in results/. Raises ValueError for another ending,
    OSError, and what `table` raises.
    """
    if target.suffix not in WRITERS:
        raise ValueError(f"{target}: allowed endings: {', '.join(WRITERS)}")
    with whole(target) as draft:  # beside the target, so that relative links hold
        return WRITERS[target.suffix](source, draft)


def _parquet(source: Path, target: Path) -> int:
    found = table(source, target.parent)
    found.to_parquet(target, index=False)
    return len(found)


def _csv(source: Path, target: Path) -> int:
    found = table(source, target.parent)
    found.to_csv(target, index=False)
    return len(found)


def _jsonl(source: Path, target: Path) -> int:
    records = sorted((record for _, found in _runs(source) for record in found), key=_place)
    if not records:
        raise ValueError(
            f"{source}: no Record; allowed: the folder of a sweep, or a .jsonl file of Records"
        )
    target.write_text(
        "".join(f"{record.model_dump_json()}\n" for record in records), encoding="utf-8"
    )
    return len(records)


WRITERS: dict[str, Callable[[Path, Path], int]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
}


def _place(record: Record) -> list[tuple[bool, Any]]:
    """Where a Record stands among others: by the fields of its Spec, none before any."""
    found = record.spec.model_dump()
    return [(found.get(name) is not None, found.get(name)) for name in known_fields()]


def _runs(source: Path) -> Iterator[tuple[dict[str, Any], list[Record]]]:
    """(where it comes from, its Records) of each run, the last of those with the same inputs."""
    if source.is_file():
        yield from (
            ({"seconds": sum(record.seconds.values())}, [record]) for record in _records(source)
        )
        return
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such file or folder")
    latest: dict[str, dict[str, Any]] = {}
    store = Store(source)
    for name in sorted(store.done()):
        done = store.mark(name)
        if done["schema"] > SCHEMA:
            raise ValueError(
                f"{source / name}: schema {done['schema']}; allowed: 1 to {SCHEMA}; update "
                "uninv_lib"
            )
        same = json.dumps([done["inputs"], done["notebook"]], sort_keys=True)
        if same not in latest or latest[same]["finished"] <= done["finished"]:
            latest[same] = done
    for done in latest.values():
        records = source / done["run"] / RECORDS
        _undamaged(records, done)
        yield done, _records(records) if records.exists() else []


def _undamaged(records: Path, done: Mapping[str, Any]) -> None:
    """Raise ValueError where the Records of a finished run are not those that it wrote."""
    written = done.get("sha256", {}).get(records.name)
    there = hashlib.sha256(records.read_bytes()).hexdigest() if records.exists() else None
    if written not in (None, there):
        raise ValueError(
            f"{records}: damaged, or gone; move its folder away and sweep again, or bring it back"
        )


def _records(file: Path) -> list[Record]:
    try:
        return read(file)
    except ValueError as error:
        raise ValueError(f"{file}: not a file of Records: {error}") from error


def _rows(source: Path, home: Path) -> Iterator[dict[str, Any]]:
    for done, records in _runs(source):
        origin: dict[str, Any] = {name: done.get(name) for name in ORIGIN}
        if origin["notebook"]:
            origin["notebook"] = _relative(source / done["run"] / NOTEBOOK, home)
        inputs = {_column(name): _cell(value) for name, value in done.get("inputs", {}).items()}
        for record in records:
            yield origin | inputs | row(record) | _provenance(record.model_dump())
        if not records:
            yield origin | inputs | _provenance(done)


def _column(name: str) -> str:
    return name if name in known_fields() else f"parameter_{name}"


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _provenance(found: Mapping[str, Any]) -> dict[str, Any]:
    versions = {f"version_{name}": version for name, version in found["versions"].items()}
    return {"commit": found["commit"], "device_name": found["device"], **versions}


def _relative(path: Path, home: Path) -> str:
    return Path(os.path.relpath(path, home)).as_posix()
