"""Leak and cost of every defense at every strength: a forest plot, a row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uninv_lib import metrics
from uninv_lib.figures.parts import (
    SMALL,
    WIDTH,
    blank,
    cap,
    label,
    legend,
    ordered,
    shown,
    spread,
    style_of,
)

if TYPE_CHECKING:
    import pandas

ROW = 0.185  # inches, of a line of SMALL type and a little air


def forest(
    table: pandas.DataFrame,
    *,
    x: Mapping[str, str],
    cost: str,
    labels: Mapping[str, str],
    title: str,
    rate: bool = False,
    level: Mapping[str, float] | None = None,
    models: str | None = None,
    x_max: float | None = None,
) -> Figure:
    """A row for each defense of the table and strength: the leak to each attacker with its
    interval, and at the right what it costs.

    x: {attacker: column}, three at most, drawn full, hollow and half full; rows where one is not
    known count for the others only. cost: a column whose median is written, with one decimal.
    labels: of "x" and "cost". rate: columns of 0 and 1, drawn as the share of ones; else medians.
    level: dashed lines, {name in the legend: x}. models: the column over whose values intervals are
    drawn first. What is above x_max is drawn there.
    """
    rows = [
        (name, strength, own)
        for name in ordered(table["defense"])
        for strength, own in table[table["defense"] == name].groupby("strength")
    ]
    figure, axes = blank(1, 1, (WIDTH, ROW * len(rows) + 1.6))
    axis, measure = axes[0, 0], metrics.rate if rate else metrics.interval
    for at, (name, _, own) in enumerate(rows):
        for i, column in enumerate(x.values()):
            pairs = own[["strength", column, *([models] if models else [])]].dropna()
            if len(pairs):
                found = [min(value, x_max or value) for value in spread(pairs, measure)]
                _mark(axis, found, at + 0.15 * (2 * i + 1 - len(x)), _look(name, i))
        _aside(axis, at, f"{own[cost].median() + 0.0:.1f}".replace("-", "−"))
    _aside(axis, -1.2, labels["cost"])
    _names(axis, [(name, strength) for name, strength, _ in rows])
    for i, who in enumerate(x):
        axis.plot([], [], linestyle="", label=who, **_look("none", i) | {"color": "0.3"})
    for name, value in (level or {}).items():
        axis.axvline(value, color="0.4", linestyle="--", label=name)
    cap(axis, x_max, "x")
    label(axis, labels["x"], "", title)
    axis.grid(visible=False, axis="y")
    legend(figure, axis)
    return figure


def _look(name: str, i: int) -> dict[str, Any]:
    """The first attacker's marks are full, the second's hollow, the third's half full."""
    fill = ("full", "none", "left")[i]
    return {**style_of(name, 0), "fillstyle": fill, "markerfacecoloralt": "white"}


def _mark(axis: Axes, found: Sequence[float], at: float, look: Mapping[str, Any]) -> None:
    value, low, high = found
    axis.errorbar([value], [at], xerr=[[value - low], [high - value]], markersize=5, **look)


def _aside(axis: Axes, at: float, text: str) -> None:
    """Beside a row, at the right of the axes."""
    where: Any = axis.get_yaxis_transform()
    axis.text(1.14, at, text, transform=where, ha="right", va="center", fontsize=SMALL)


def _names(axis: Axes, rows: Sequence[tuple[str, float]]) -> None:
    """A defense's name once, and each strength; lines between the defenses."""
    first = [i for i, (name, _) in enumerate(rows) if not i or name != rows[i - 1][0]]
    strengths = [f"{strength:g}" if name != "none" else "" for name, strength in rows]
    ticks = [f"{shown(rows[i][0])}   {s}" if i in first else s for i, s in enumerate(strengths)]
    axis.set_yticks(range(len(rows)), ticks, fontsize=SMALL)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    for i in first[1:]:
        axis.axhline(i - 0.5, color="0.85", linewidth=0.8)
