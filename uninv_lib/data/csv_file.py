"""Rows of a CSV file: numbers and categories, and a column that holds the class."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.data.columns import Column, Missing, encoded, number
from uninv_lib.data.parts import FEWEST, cut
from uninv_lib.types import Dataset, unknown

SEPARATORS = ",;\t"
TARGET = "?target="
"""Between the path and the column of the class, where a name says both."""


def csv_file(
    path: Path,
    *,
    class_column: Annotated[
        str, Field(description="column of a table that holds the class; without, the last")
    ] = "",
    missing: Annotated[
        Missing,
        Field(
            description="a missing value of a table is an error, filled by the median or the most "
            "frequent category, or a category of its own"
        ),
    ] = "error",
) -> Dataset:
    """PATH or PATH?target=COLUMN, a CSV file with a header, separated by commas, semicolons or
    tabs, and the column of the class. Others are encoded as `columns.encoded` says: numbers are
    scaled to [0, 1] by their least and greatest value, each category is a feature of 0 and 1.

    Half of the rows are public, three tenths private. Raises FileNotFoundError, and ValueError that
    names row and column, what came and what is allowed.
    """
    name, target = f"csv:{path}", _target(path, class_column)
    path = Path(str(path).partition(TARGET)[0]).expanduser()
    columns = _read(path)
    at = [column.name for column in columns].index(_label(columns, target))
    try:
        classes = _classes(columns[at])
        values = encoded([c for place, c in enumerate(columns) if place != at], missing)
    except ValueError as error:
        raise ValueError(f"dataset: {path}: {error}") from error
    labels = torch.tensor([classes.index(cell) for cell in columns[at].cells])
    inputs, n = torch.from_numpy(values).float(), len(labels)
    return Dataset(name, *cut(inputs, labels, (n // 2, 3 * n // 10)), classes, "table")


def _target(path: Path, class_column: str) -> str:
    """The column of the class, as the name or the option says, or nothing."""
    told = str(path).partition(TARGET)[2]
    if told and class_column and told != class_column:
        raise ValueError(f"class_column: {class_column!r} beside target={told}; allowed: one")
    return told or class_column


def _read(path: Path) -> list[Column]:
    """The columns, without rows that hold nothing."""
    if not path.is_file():
        raise FileNotFoundError(f"dataset: {path} is not a file; csv:PATH takes a CSV file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"dataset: {path} is not UTF-8 ({error}); allowed: a CSV file") from error
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    lines = csv.reader(StringIO(text, newline=""), delimiter=separator)
    try:
        filled = [(n, cells) for n, cells in enumerate(lines, 1) if any(c.strip() for c in cells)]
    except csv.Error as error:
        where = f"dataset: {path}, line {lines.line_num}"
        raise ValueError(f"{where}: {error}; allowed: cells whose quotes are closed") from error
    if len(filled) <= FEWEST:
        came = max(0, len(filled) - 1)
        raise ValueError(f"dataset: {path}: {came} rows below a header; allowed: {FEWEST} or more")
    (_, header), *rows = filled
    header = [name.strip() for name in header]
    if twice := [name for name, times in Counter(header).items() if times > 1 or not name]:
        raise ValueError(f"dataset: {path}, row 1: columns {twice}; allowed: a name each, once")
    if all(number(name) is not None for name in header):
        raise ValueError(f"dataset: {path}, row 1: {header}, numbers; allowed: the columns' names")
    for row, cells in rows:
        if len(cells) != len(header):
            allowed = f"allowed: {len(header)}, as in row 1"
            raise ValueError(f"dataset: {path}, row {row}: {len(cells)} cells; {allowed}")
    numbers = [row for row, _ in rows]
    return [
        Column(name, [cells[i].strip() for _, cells in rows], numbers)
        for i, name in enumerate(header)
    ]


def _label(columns: Sequence[Column], chosen: str) -> str:
    names = [column.name for column in columns]
    if chosen and chosen not in names:
        raise ValueError(f"class_column: {unknown('column', chosen, names)}")
    if len(names) < 2:
        raise ValueError(f"dataset: columns {names}; allowed: two or more, one with the class")
    return chosen or names[-1]


def _classes(column: Column) -> tuple[str, ...]:
    if absent := column.absent:
        (first,) = column.told(absent[:1])
        raise ValueError(f"{first}: no class; allowed: a class in each row")
    found = tuple(sorted(set(column.cells)))
    if not 2 <= len(found) <= len(column.cells) // 2:
        told = f"{len(found)} classes in {len(column.cells)} rows"
        raise ValueError(
            f"column {column.name!r}: {told}; allowed: 2 or more, of two rows each on average; "
            "choose another column by csv:PATH?target=COLUMN or class_column"
        )
    return found
