"""Defenses by their strength: a panel for each, and leak against utility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from uninv_lib import metrics
from uninv_lib.figures.notes import write_beside
from uninv_lib.figures.parts import (
    WIDTH,
    blank,
    cap,
    intervals,
    label,
    legend,
    medians,
    ordered,
    place,
    shown,
    spread,
    style_of,
    ticks,
)

if TYPE_CHECKING:
    import pandas

FEW = 6
"""Lines beside which strengths can be told apart."""


def panels(
    table: pandas.DataFrame,
    *,
    x: str = "strength",
    y: str | Mapping[str, str],
    labels: Mapping[str, str],
    title: str,
    panel: str = "defense",
    rate: bool = False,
    level: Mapping[str, float] | None = None,
    models: str | None = None,
    y_max: float | None = None,
) -> Figure:
    """A panel for each value of column `panel`, two a row, each with its own x and unit; y is
    shared.

    y: a column, or several, {name in the legend: column}; rows where one is not known count for the
    others only. labels: what x means in each panel, by the panel's value, and "y". Rows whose panel
    is "none" stand at the left of every panel. rate: columns of 0 and 1, drawn as the share of ones
    with its 95% interval; else the median with its bootstrap interval, and every run a faint dot.
    models: the column over whose values intervals are drawn first. level: dashed lines, {name in
    the legend: y}. What is above y_max is drawn there.
    """
    series = {labels["y"]: y} if isinstance(y, str) else dict(y)
    names = [name for name in ordered(table[panel]) if name != "none"]
    rows = -(-len(names) // 2)
    figure, axes = blank(rows, min(2, len(names)), (WIDTH, 2.4 * rows + 0.5), sharey=True)
    for axis, name in zip(axes.flat, names, strict=False):
        shown_here = table[table[panel].isin(["none", name])]
        seen = [
            shown_here[[x, column, *([models] if models else [])]].dropna()
            for column in series.values()
        ]
        _panel(axis, name, seen, rate=rate, y_max=y_max)
        for height in (level or {}).values():
            axis.axhline(height, color="0.4", linestyle="--")
        label(axis, labels[name], "", shown(name))
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    figure.supylabel(labels["y"], fontsize=10.5)
    figure.suptitle(title, fontsize=10.5)
    if len(series) > 1 or level:
        _keys(axes.flat[-1], series, level or {})
        legend(figure, axes.flat[-1])
    return figure


def _line(i: int, colour: str) -> dict[str, Any]:
    """The first series of a panel is full, the others are hollow and broken."""
    return {
        "linestyle": ("-", "--", ":")[i % 3],
        "color": colour,
        "markerfacecolor": colour if i == 0 else "white",
    }


def _panel(
    axis: Axes, name: str, series: Sequence[pandas.DataFrame], *, rate: bool, y_max: float | None
) -> None:
    places = sorted({value for pairs in series for value in pairs.iloc[:, 0]})
    for i, pairs in enumerate(series):
        style = style_of(name, i)
        look = {**style, **_line(i, style["color"]), "shift": 0.16 * (i - (len(series) - 1) / 2)}
        if rate:
            _shares(axis, places, pairs, **look)
        else:
            medians(axis, places, pairs, y_max=y_max, **look)
    ticks(axis, [place(value) for value in places], WIDTH / 2 - 0.6)
    if rate:
        axis.set_ylim(-0.03, 1.03)
    cap(axis, y_max)


def _shares(
    axis: Axes, places: Sequence[Any], pairs: pandas.DataFrame, *, shift: float, **style: Any
) -> None:
    """A line of shares of ones over the places, with intervals; pairs: place, value and, if known,
    model.
    """
    found = {at: spread(rows, metrics.rate) for at, rows in pairs.groupby(pairs.columns[0])}
    intervals(axis, [places.index(at) + shift for at in found], found.values(), **style)


def _keys(axis: Axes, series: Iterable[str], level: Iterable[str]) -> None:
    """Empty lines in grey for the legend; each panel has a colour of its own."""
    for i, name in enumerate(series):
        axis.plot([], [], marker="o", label=name, **_line(i, "0.3"))
    for name in level:
        axis.plot([], [], color="0.4", linestyle="--", label=name)


def tradeoff(
    table: pandas.DataFrame,
    *,
    x: str,
    y: str,
    labels: Mapping[str, str],
    title: str,
    y_max: float | None = None,
) -> Figure:
    """Leak (y) against utility (x): a line of medians over the strengths for each defense,
    strengths written beside where there are few lines.

    A name like "pruning, naive" is another line of that defense, hollow and broken. What is above
    y_max is drawn there.
    """
    figure, axes = blank(1, 1, (WIDTH, 4.2))
    notes, lines = [], []
    for i, name in enumerate(ordered(table["defense"])):
        middle = table[table["defense"] == name].groupby("strength")[[x, y]].median()
        middle[y] = middle[y].clip(upper=y_max)
        defense, _, other = name.partition(", ")
        style = style_of(defense, i)
        style |= _line(1, style["color"]) if other else {}
        lines += axes[0, 0].plot(middle[x], middle[y], **style, label=shown(name))
        dark = tuple(0.6 * part for part in to_rgb(style["color"]))
        notes += [(f"{at:g}", tuple(row), dark) for at, row in middle.iterrows() if name != "none"]
    axes[0, 0].margins(0.16, 0.1)
    cap(axes[0, 0], y_max)
    legend(figure, axes[0, 0])
    label(axes[0, 0], labels[x], labels[y], title)
    if len(lines) <= FEW:
        write_beside(figure, axes[0, 0], notes, lines)
    return figure
