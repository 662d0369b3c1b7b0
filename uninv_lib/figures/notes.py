"""Words beside markers, where they hide least."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy import linspace

from uninv_lib.figures.parts import SMALL

SIDES = ((9, 0), (-9, 0), (0, 11), (0, -11), (5, 13), (-5, 13), (5, -13), (-5, -13))
"""Where words stand beside a marker, in points, the best place first."""


def write_beside(
    figure: Figure, axis: Axes, notes: Sequence[tuple[str, Any, Any]], lines: Sequence[Line2D]
) -> None:
    """Notes (text, (x, y), colour) at markers, each on the side where it hides least of lines,
    markers and notes.
    """
    figure.draw_without_rendering()  # the layout, and with it the place of everything in pixels
    taken = [box for line in lines for box in _covered(axis.transData.transform(line.get_xydata()))]
    for text, at, colour in notes:
        note = axis.annotate(
            text, at, (0, 0), textcoords="offset points", color=colour, fontsize=SMALL, va="center"
        )
        note.set_in_layout(False)
        boxes = {side: _moved(note, side) for side in SIDES}
        best = min(SIDES, key=lambda side: sum(boxes[side].overlaps(box) for box in taken))
        taken += 5 * [_moved(note, best)]


def _moved(note: Annotation, side: tuple[int, int]) -> Bbox:
    note.set_position(side)
    note.set_horizontalalignment("left" if side[0] > 0 else "right" if side[0] < 0 else "center")
    return note.get_window_extent()


def _covered(path: Any) -> list[Bbox]:
    """The pixels of a line's markers, which count five times, and of what is between them."""
    between = [
        (1 - t) * start + t * end for start, end in pairwise(path) for t in linspace(0, 1, 40)
    ]
    return [_square(at, 4) for at in between] + 5 * [_square(at, 12) for at in path]


def _square(middle: Any, size: float) -> Bbox:
    return Bbox.from_bounds(middle[0] - size / 2, middle[1] - size / 2, size, size)
