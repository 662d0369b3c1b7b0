"""Lines, bars, points with intervals, and bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from torch import Tensor

from uninv_lib.figures.palette import COLOURS
from uninv_lib.figures.parts import (
    WIDTH,
    Interval,
    blank,
    cap,
    intervals,
    label,
    legend,
    medians,
    ordered,
    place,
    shown,
    style_of,
    ticks,
)

if TYPE_CHECKING:
    import pandas


def curves(
    lines: Mapping[str, Sequence[float] | Tensor], *, x: str, y: str, title: str, log: bool = False
) -> Figure:
    """One line for each name, over its positions 0, 1, 2, ...; log: logarithmic y."""
    figure, axes = blank(1, 1, (WIDTH, 3.4))
    styles = ["-", "--", "-.", ":"]
    for i, (name, values) in enumerate(lines.items()):
        colour = style_of(name, i)["color"]
        axes[0, 0].plot([float(v) for v in values], styles[i % 4], color=colour, label=shown(name))
    if log:
        axes[0, 0].set_yscale("log")
    legend(figure, axes[0, 0])
    label(axes[0, 0], x, y, title)
    return figure


def bars(
    values: Sequence[float] | Tensor,
    names: Sequence[str],
    *,
    marked: int,
    x: str,
    y: str,
    title: str,
) -> Figure:
    """One bar for each name; the `marked` one is coloured and hatched, for what the attack
    names.
    """
    figure, axes = blank(1, 1, (WIDTH, 3.2))
    heights = [float(v) for v in values]
    drawn = axes[0, 0].bar(range(len(heights)), heights, color=COLOURS[7])
    drawn[marked].set(facecolor=COLOURS[3], hatch="//")
    ticks(axes[0, 0], names, WIDTH - 1)
    axes[0, 0].axhline(0, color="black", linewidth=0.8)
    label(axes[0, 0], x, y, title)
    return figure


def points(
    table: pandas.DataFrame,
    *,
    x: str,
    y: str,
    hue: str,
    labels: Mapping[str, str],
    title: str,
    models: str | None = None,
    y_max: float | None = None,
) -> Figure:
    """Median and 95% bootstrap interval of column y for each value of column x, a line for each
    value of hue.

    Every single run stands behind as a faint dot. labels: axis and legend texts of the three
    columns. models: the column over whose values intervals are drawn first. What is above y_max is
    drawn there.
    """
    figure, axes = blank(1, 1, (WIDTH, 3.7))
    places = sorted(table[x].unique())
    names, columns = ordered(table[hue]), [x, y, *([models] if models else [])]
    for i, name in enumerate(names):
        style = {
            **style_of(name, i),
            "label": shown(name),
            "shift": 0.12 * (i - (len(names) - 1) / 2),
        }
        medians(axes[0, 0], places, table.loc[table[hue] == name, columns], y_max=y_max, **style)
    ticks(axes[0, 0], [place(value) for value in places], WIDTH - 1)
    cap(axes[0, 0], y_max)
    legend(figure, axes[0, 0], labels[hue])
    label(axes[0, 0], labels[x], labels[y], title)
    return figure


def rates(table: Mapping[str, Mapping[str, Interval]], *, x: str, y: str, title: str) -> Figure:
    """Rates with their intervals (rate, low, high): {series: {place on x: ...}}; series side by
    side.

    A series of one and the same value without an interval, like chance, is a dashed line.
    """
    figure, axes = blank(1, 1, (WIDTH, 3.7))
    places = list(dict.fromkeys(place for series in table.values() for place in series))
    for i, (name, series) in enumerate(table.items()):
        if len({value for found in series.values() for value in found}) == 1:
            axes[0, 0].axhline(
                next(iter(series.values()))[0], color="0.4", linestyle="--", label=shown(name)
            )
            continue
        at = [places.index(place) + 0.15 * (i - (len(table) - 1) / 2) for place in series]
        intervals(
            axes[0, 0],
            at,
            series.values(),
            **style_of(name, i),
            linestyle="none",
            label=shown(name),
        )
    ticks(axes[0, 0], places, WIDTH - 1)
    axes[0, 0].set_ylim(-0.03, 1.03)
    legend(figure, axes[0, 0])
    label(axes[0, 0], x, y, title)
    return figure


def rate_curves(
    lines: Mapping[str, Mapping[float, Interval]], *, x: str, y: str, title: str
) -> Figure:
    """Rates with their intervals (rate, low, high) over a logarithmic x: {series: {x: ...}}, a line
    for each series.
    """
    figure, axes = blank(1, 1, (WIDTH, 3.7))
    for i, (name, series) in enumerate(lines.items()):
        intervals(axes[0, 0], list(series), series.values(), **style_of(name, i), label=shown(name))
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_ylim(-0.03, 1.03)
    legend(figure, axes[0, 0])
    label(axes[0, 0], x, y, title)
    return figure


def bands(lines: Mapping[str, Mapping[float, Interval]], *, x: str, y: str, title: str) -> Figure:
    """Medians with a band from low to high over a logarithmic x: {series: {x: (median, low,
    high)}}.
    """
    figure, axes = blank(1, 1, (WIDTH, 3.7))
    for i, (name, series) in enumerate(lines.items()):
        middle, low, high = zip(*series.values(), strict=True)
        colour, line = style_of(name, i)["color"], ("-", "--", ":", "-.")[i % 4]
        axes[0, 0].plot(list(series), middle, color=colour, label=shown(name), linestyle=line)
        axes[0, 0].fill_between(list(series), low, high, color=colour, alpha=0.2, linewidth=0)
    axes[0, 0].set_xscale("log")
    legend(figure, axes[0, 0])
    label(axes[0, 0], x, y, title)
    return figure


def scatter(
    table: pandas.DataFrame, *, x: str, y: str, hue: str, labels: Mapping[str, str], title: str
) -> Figure:
    """One marker for each row of the table, its colour and shape by column hue."""
    figure, axes = blank(1, 1, (WIDTH, 3.7))
    for i, name in enumerate(ordered(table[hue])):
        group = table[table[hue] == name]
        axes[0, 0].plot(
            group[x], group[y], label=shown(name), linestyle="none", alpha=0.8, **style_of(name, i)
        )
    legend(figure, axes[0, 0], labels[hue])
    label(axes[0, 0], labels[x], labels[y], title)
    return figure
