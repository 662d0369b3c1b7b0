"""Rows of a CSV file, a number in each column but the one that holds the class."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.data.parts import FEWEST, cut
from uninv_lib.types import Dataset, unknown

SEPARATORS = ",;\t"
SHOWN = 3
"""Cells that an error names; of the others it says how many."""
Numbered = list[tuple[int, list[str]]]
"""(the number of a row as a spreadsheet counts, the header being 1; its cells)."""


def table(
    path: Path,
    *,
    class_column: Annotated[
        str, Field(description="column of a table that holds the class; without, the last")
    ] = "",
) -> Dataset:
    """PATH, a CSV file with a header, separated by commas, semicolons or tabs. Columns are scaled
    to [0, 1] by their least and greatest value (ours); one that is constant is 0.

    Half of the rows are public, three tenths private. Raises FileNotFoundError, and ValueError that
    names row and column, what came and what is allowed: categories and missing values are for the
    user to encode or to fill in.
    """
    name, path = f"table:{path}", path.expanduser()
    header, rows = _read(path)
    at = header.index(_label(header, class_column))
    classes = _classes(path, header[at], [(number, cells[at]) for number, cells in rows])
    features = [place for place in range(len(header)) if place != at]
    values = torch.tensor(_numbers(path, header, features, rows), dtype=torch.float64)
    low, high = values.amin(0), values.amax(0)
    inputs = ((values - low) / (high - low).where(high > low, torch.ones(()))).float()
    labels = torch.tensor([classes.index(cells[at].strip()) for _, cells in rows])
    parts = cut(inputs, labels, (len(rows) // 2, 3 * len(rows) // 10))
    return Dataset(name, *parts, classes, "table")


def _read(path: Path) -> tuple[list[str], Numbered]:
    """The header, and the rows that hold anything."""
    if not path.is_file():
        raise FileNotFoundError(f"dataset: {path} is not a file; table:PATH takes a CSV file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"dataset: {path} is not UTF-8 ({error}); allowed: a CSV file") from error
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    lines = csv.reader(StringIO(text, newline=""), delimiter=separator)
    filled = [(n, cells) for n, cells in enumerate(lines, 1) if any(c.strip() for c in cells)]
    if len(filled) <= FEWEST:
        came = max(0, len(filled) - 1)
        raise ValueError(f"dataset: {path}: {came} rows below a header; allowed: {FEWEST} or more")
    (_, header), *rows = filled
    header = [name.strip() for name in header]
    if twice := [name for name, times in Counter(header).items() if times > 1 or not name]:
        raise ValueError(f"dataset: {path}, row 1: columns {twice}; allowed: a name each, once")
    if all(math.isfinite(_number(name)) for name in header):
        raise ValueError(f"dataset: {path}, row 1: {header}, numbers; allowed: the columns' names")
    for number, cells in rows:
        if len(cells) != len(header):
            allowed = f"allowed: {len(header)}, as in row 1"
            raise ValueError(f"dataset: {path}, row {number}: {len(cells)} cells; {allowed}")
    return header, rows


def _label(header: Sequence[str], chosen: str) -> str:
    if chosen and chosen not in header:
        raise ValueError(f"class_column: {unknown('column', chosen, header)}")
    if len(header) < 2:
        raise ValueError(f"dataset: columns {header}; allowed: two or more, one with the class")
    return chosen or header[-1]


def _classes(path: Path, column: str, cells: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    for number, cell in cells:
        if not cell.strip():
            where = f"{path}, row {number}, column {column!r}"
            raise ValueError(f"dataset: {where}: no class; allowed: a class in each row")
    found = tuple(sorted({cell.strip() for _, cell in cells}))
    if not 2 <= len(found) <= len(cells) // 2:
        told = f"{len(found)} classes in {len(cells)} rows"
        raise ValueError(
            f"dataset: {path}, column {column!r}: {told}; allowed: 2 or more, of two rows each on "
            "average; choose another column by class_column"
        )
    return found


def _numbers(
    path: Path, header: Sequence[str], places: Sequence[int], rows: Numbered
) -> list[list[float]]:
    """A row of numbers each. Raises ValueError with the first cells that hold none."""
    faults = [
        f"row {number}, column {header[place]!r}: {cells[place].strip() or 'nothing'}"
        for number, cells in rows
        for place in places
        if not math.isfinite(_number(cells[place]))
    ]
    if faults:
        others = f"\nand {len(faults) - SHOWN} more" * (len(faults) > SHOWN)
        shown = "\n".join(faults[:SHOWN])
        raise ValueError(
            f"dataset: {path}: cells without a number; allowed: numbers, with a point; give "
            f"categories a column of 0 and 1 each, fill in or leave out what is missing\n"
            f"{shown}{others}"
        )
    return [[_number(cells[place]) for place in places] for _, cells in rows]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
