"""Columns of text as numbers: scaled, encoded, filled in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

Missing = Literal["error", "fill", "category"]
ABSENT = ("", "?", "na", "n/a", "nan", "-nan", "+nan", "null")
"""What stands for a missing value, in lower case."""
LARGEST = 1e100
"""A number, by size, whose difference from another one is still finite."""
MOST = 64
"""Categories of a column; one with more is a name or a number of each row, which no net learns
from (ours)."""
SHOWN = 3
"""Cells that an error names; of the others it says how many."""


@dataclass(frozen=True)
class Column:
    """A column: its name, its cells without spaces around them, and the number of each one's row as
    a spreadsheet counts.
    """

    name: str
    cells: Sequence[str]
    rows: Sequence[int]

    def told(self, places: Iterable[int]) -> list[str]:
        """Cells as an error names them."""
        return [
            f"row {self.rows[i]}, column {self.name!r}: {self.cells[i] or 'nothing'}"
            for i in places
        ]

    @cached_property
    def absent(self) -> list[int]:
        """Where a value is missing."""
        return [i for i, cell in enumerate(self.cells) if cell.lower() in ABSENT]

    @cached_property
    def words(self) -> list[int]:
        """Where something else than a number stands."""
        absent = set(self.absent)
        return [i for i, c in enumerate(self.cells) if i not in absent and number(c) is None]


def encoded(columns: Sequence[Column], missing: Missing) -> np.ndarray:
    """(rows, features) float64 in [0, 1], the columns in their order.

    A column of numbers is scaled by its least and greatest value, one that is constant is 0. Any
    other is a feature for each of its values, sorted, that is 1 where the value stands and 0
    elsewhere. missing: "error" refuses it; "fill" takes the column's median, or its most frequent
    category; "category" makes it a category of its own, and to the median of numbers adds a
    feature that is 1 where they are missing.

    Raises ValueError that names row and column, what came and what is allowed.
    """
    faults = [cell for column in columns for cell in column.told(column.absent)]
    if faults and missing == "error":
        allowed = "a value in each, or the option missing as fill or category"
        raise ValueError(f"missing values; allowed: {allowed}\n{shown(faults)}")
    if empty := [c.name for c in columns if len(c.absent) == len(c.cells)]:
        raise ValueError(f"columns {empty}: no value at all; leave them out")
    return np.concatenate(
        [(_categories if c.words else _numbers)(c, missing) for c in columns], axis=1
    )


def _numbers(column: Column, missing: Missing) -> np.ndarray:
    absent = np.isin(np.arange(len(column.cells)), column.absent)
    values = np.full(len(absent), np.nan)
    values[~absent] = np.array(column.cells)[~absent].astype(np.float64)
    values[absent] = np.median(values[~absent])
    if infinite := np.flatnonzero(~(abs(values) < LARGEST)).tolist():
        told = shown(column.told(infinite))
        raise ValueError(f"cells without a number; allowed: finite numbers\n{told}")
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low if high > low else 1)
    return np.stack([scaled, absent][: 1 + (missing == "category" and absent.any())], axis=1)


def _categories(column: Column, missing: Missing) -> np.ndarray:
    absent, cells = column.absent, np.array(column.cells, dtype=object)
    present = Counter(np.delete(cells, absent).tolist())
    if len(present) > min(MOST, len(cells) // 2):
        (example,) = column.told(column.words[:1])
        raise ValueError(
            f"column {column.name!r}: {len(present)} categories in {len(cells)} rows; allowed: "
            f"numbers alone, or {MOST} categories at most, of two rows each on average; mend the "
            f"cells or leave the column out\n{example}"
        )
    cells[absent] = "" if missing == "category" else min(present, key=lambda c: (-present[c], c))
    found: np.ndarray = (cells[:, None] == np.unique(cells)).astype(np.float64)
    return found


def shown(faults: Sequence[str]) -> str:
    """The first of these, a line each, and how many more there are."""
    others = f"\nand {len(faults) - SHOWN} more" * (len(faults) > SHOWN)
    return "\n".join(faults[:SHOWN]) + others


def number(cell: str) -> float | None:
    """What a cell holds, if that is a number."""
    try:
        return float(cell)
    except ValueError:
        return None
