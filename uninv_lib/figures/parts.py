"""What all plots share: their size, type, colours, legends and axes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import tensor

from uninv_lib.figures.palette import COLOURS, DEFENSE_STYLE, MARKERS
from uninv_lib.metrics import interval

if TYPE_CHECKING:
    import pandas

WIDTH = 4.8
LETTERS = 14  # of 10 points in an inch, on average
SMALL = 9.5
STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 180,
    "font.size": 10.5,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

Interval = tuple[float, float, float]


def blank(rows: int, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, Any]:
    """A figure of this size in inches, in the book's style, and its (rows, columns) axes."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **shared)
    plt.close(
        figure
    )  # the page shows the returned figure once, not a second time as the current one
    return figure, axes


def wrapped(text: str, inches: float) -> str:
    """The text in lines that are no longer than so many inches."""
    width = max(1, int(LETTERS * inches))
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False) for line in text.split("\n")
    )


def shown(name: object) -> str:
    """A name of the code as a reader sees it."""
    return str(name).replace("_", "-")


def ordered(names: Iterable[Any]) -> list[Any]:
    """Each name once: defenses in the order of DEFENSE_STYLE, then all others as they come."""
    defenses = list(DEFENSE_STYLE)
    rank = {
        name: defenses.index(key)
        for name in names
        if (key := str(name).replace("-", "_")) in defenses
    }
    return sorted(dict.fromkeys(names), key=lambda name: rank.get(name, len(rank)))


def style_of(name: object, i: int) -> dict[str, Any]:
    """Colour and marker of a series: a defense's own, or those of the i-th."""
    colour, marker = DEFENSE_STYLE.get(
        str(name).replace("-", "_"), (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
    )
    return {"color": colour, "marker": marker}


def place(value: object) -> str:
    """A value as it stands on an axis."""
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def label(axis: Axes, x: str, y: str, title: str) -> None:
    """Names of the axes, a title, and a grid."""
    axis.set(xlabel=x, ylabel=wrapped(y, 2.4))
    axis.set_title(wrapped(title, WIDTH - 0.7), fontsize=10.5)
    axis.grid(alpha=0.3)


def legend(figure: Figure, axis: Axes, title: str | None = None) -> None:
    """Below the axes, where nothing is drawn; in as many columns as fit."""
    handles, names = axis.get_legend_handles_labels()
    names = [wrapped(name, WIDTH - 0.7) for name in names]
    longest = max((len(line) for name in names for line in name.split("\n")), default=1)
    columns = max(1, min(len(names), int(LETTERS * WIDTH) // (longest + 6)))
    figure.legend(
        handles,
        names,
        title=title,
        ncols=columns,
        loc="outside lower center",
        frameon=False,
        fontsize=SMALL,
    )


def ticks(axis: Axes, names: Sequence[str], inches: float) -> None:
    """A name at each place of x: wrapped to its share of the width, or aslant where a word is
    longer than that.
    """
    room = inches / len(names)
    folded = [wrapped(name, room) for name in names]
    aslant = any(len(line) > LETTERS * room for name in folded for line in name.split("\n"))
    turned: dict[str, Any] = (
        {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if aslant else {}
    )
    axis.set_xticks(range(len(names)), names if aslant else folded, **turned)


def intervals(axis: Axes, at: Sequence[float], found: Iterable[Interval], **style: Any) -> None:
    """Markers with their intervals (value, low, high)."""
    middle, low, high = numpy.array(list(found)).T
    axis.errorbar(at, middle, [middle - low, high - middle], capsize=3, **style)


def spread(pairs: pandas.DataFrame, measure: Callable[..., Interval]) -> Interval:
    """The second column by `measure`, drawn over the models of the third column first, where there
    is one.
    """
    values, *models = (tensor(pairs[name].to_numpy()) for name in pairs.columns[1:])
    return measure(values, models=models[0] if models else None)


def medians(
    axis: Axes,
    places: Sequence[Any],
    pairs: pandas.DataFrame,
    *,
    shift: float,
    y_max: float | None,
    **style: Any,
) -> None:
    """A line of medians with intervals over the places, every run behind; pairs: place, value and,
    if known, model.
    """
    x, y = pairs.columns[:2]
    pairs = pairs.assign(**{y: pairs[y].clip(upper=y_max)})
    values = pairs.set_index(x)[y]
    at = [p for p in places if p in values.index]
    axis.plot(
        [places.index(p) + shift for p in values.index],
        values,
        ".",
        color=style["color"],
        alpha=0.25,
    )
    found = [spread(pairs[pairs[x] == p], interval) for p in at]
    intervals(axis, [places.index(p) + shift for p in at], found, **style)


def cap(axis: Axes, most: float | None, along: str = "y") -> None:
    """Ends an axis at `most`, where a line stands for all that is more; unless everything is
    less.
    """
    if most is None or getattr(axis.dataLim, f"{along}1") < most:
        return
    (axis.axhline if along == "y" else axis.axvline)(most, color="0.5", linestyle=":")
    of = axis.yaxis if along == "y" else axis.xaxis
    start = of.get_view_interval()[0]
    axis.set(**{f"{along}lim": (start, 1.12 * most)})
    less = [tick for tick in of.get_ticklocs() if start <= tick < 0.95 * most]
    of.set_ticks([*less, most], labels=[*(f"{tick:g}" for tick in less), f"{most:g}+"])
