"""Two measures of each of several things against each other, with both intervals."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from uninv_lib.figures.notes import write_beside
from uninv_lib.figures.parts import WIDTH, Interval, blank, cap, label, shown, style_of


def spots(
    table: Mapping[str, Mapping[str, tuple[Interval, Interval]]],
    *,
    x: str,
    y: str,
    title: str,
    level: float | None = None,
    log: bool = False,
    y_max: float | None = None,
) -> Figure:
    """A panel below another for each name of the table; in it a marker for each thing at its two
    measures, {panel: {thing: ((x, low, high), (y, low, high))}}, the thing's name beside.

    level: a dashed line at this y; log: logarithmic x. What is above y_max is drawn there.
    """
    figure, axes = blank(len(table), 1, (WIDTH, 3.8 * len(table) + 0.3), sharex=True)
    names = list(dict.fromkeys(name for things in table.values() for name in things))
    for axis, (panel, things) in zip(axes.flat, table.items(), strict=True):
        notes, lines = [], []
        for name, (across, up) in things.items():
            style, (at, *_) = style_of(name, names.index(name)), across
            height, *ends = (value if y_max is None else min(value, y_max) for value in up)
            reach = [[abs(height - end)] for end in ends], [[abs(at - end)] for end in across[1:]]
            lines.append(axis.errorbar([at], [height], *reach, capsize=3, **style).lines[0])
            notes.append(
                (shown(name), (at, height), tuple(0.6 * c for c in to_rgb(style["color"])))
            )
        if level is not None:
            axis.axhline(level, color="0.4", linestyle="--")
        axis.set_xscale("log" if log else "linear")
        axis.margins(0.3, 0.12)
        cap(axis, y_max)
        label(axis, x if axis is axes.flat[-1] else "", y, panel)
        write_beside(figure, axis, notes, lines)
    figure.suptitle(title, fontsize=10.5)
    return figure
