"""Every plot of the book. Each function returns a Figure and shows nothing; captions belong to the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, tensor

from uninv_lib.metrics import interval

if TYPE_CHECKING:
    import pandas

COLOURS = sns.color_palette("colorblind")
MARKERS = "osD^vPX*"
BESIDE = (4, 4), (4, -10), (-18, 4)  # points: where the text at a marker stands, so that series do not collide
STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 150,
    "font.size": 11,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def _new(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    plt.close(figure)  # the page shows the returned figure once, not a second time as the current one
    return figure, axes


def pictures(rows: Mapping[str, Tensor], titles: Sequence[str] = ()) -> Figure:
    """Images in [0, 1], a named row for each (n, channels, height, width); titles stand above the first row.

    Rows of one image each stand side by side instead. Samples of a table, (n, features), are drawn as bar codes.
    """
    rows = {name: row if row.ndim == 4 else row[:, None, None].expand(-1, 1, 10, -1) for name, row in rows.items()}
    if len(rows) > 1 and all(len(row) == 1 for row in rows.values()) and len({r.shape for r in rows.values()}) == 1:
        return pictures({"": torch.cat(list(rows.values()))}, titles=list(rows))
    columns = max(len(row) for row in rows.values())
    width = min(6.0, 1.6 * columns)
    figure, axes = _new(len(rows), columns, (width, (width / columns + 0.3) * len(rows)))
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=False):
            pixels = image.detach().cpu().permute(1, 2, 0).squeeze(-1).float()
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        line[0].set_title(name, loc="left", fontsize=10).set_in_layout(False)
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, fontsize=10)
    return figure


def _shown(name: object) -> str:
    return str(name).replace("_", "-")


def _label(axis: Axes, x: str, y: str, title: str) -> None:
    axis.set(xlabel=x, ylabel=y)
    axis.set_title(title, fontsize=11)
    axis.grid(alpha=0.3)


def curves(lines: Mapping[str, Sequence[float] | Tensor], *, x: str, y: str, title: str, log: bool = False) -> Figure:
    """One line for each name, over its positions 0, 1, 2, ...; log: logarithmic y."""
    figure, axes = _new(1, 1, (6, 3.4))
    styles = ["-", "--", "-.", ":"]
    for i, (name, values) in enumerate(lines.items()):
        axes[0, 0].plot([float(v) for v in values], styles[i % 4], color=COLOURS[i % 10], label=name)
    if log:
        axes[0, 0].set_yscale("log")
    axes[0, 0].legend(frameon=False)
    _label(axes[0, 0], x, y, title)
    return figure


def bars(values: Sequence[float] | Tensor, names: Sequence[str], *, marked: int, x: str, y: str, title: str) -> Figure:
    """One bar for each name; the `marked` one is coloured and hatched, for what the attack names."""
    figure, axes = _new(1, 1, (6, 3.4))
    heights = [float(v) for v in values]
    drawn = axes[0, 0].bar(range(len(heights)), heights, color=COLOURS[7])
    drawn[marked].set(facecolor=COLOURS[3], hatch="//")
    axes[0, 0].set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0, ha="right")
    axes[0, 0].axhline(0, color="black", linewidth=0.8)
    _label(axes[0, 0], x, y, title)
    return figure


def points(table: pandas.DataFrame, *, x: str, y: str, hue: str, labels: Mapping[str, str], title: str) -> Figure:
    """Median and 95% bootstrap interval of column y for each value of column x, a line for each value of hue.

    Every single run stands behind as a faint dot. labels: axis and legend texts of the three columns.
    """
    figure, axes = _new(1, 1, (6, 3.6))
    axis, places = axes[0, 0], {value: i for i, value in enumerate(sorted(table[x].unique()))}
    groups = list(table.groupby(hue, sort=False))
    for i, (name, group) in enumerate(groups):
        shift = 0.12 * (i - (len(groups) - 1) / 2)
        axis.plot(group[x].map(places) + shift, group[y], ".", color=COLOURS[i % 10], alpha=0.25)
        at = [value for value in places if (group[x] == value).any()]
        middle = [interval(tensor(group.loc[group[x] == value, y].to_numpy())) for value in at]
        errors = [[m - low for m, low, _ in middle], [high - m for m, _, high in middle]]
        style = {"color": COLOURS[i % 10], "marker": MARKERS[i % 8], "capsize": 3, "label": _shown(name)}
        axis.errorbar([places[value] + shift for value in at], [m[0] for m in middle], errors, **style)
    axis.set_xticks(range(len(places)), [f"{v:g}" if isinstance(v, (int, float)) else str(v) for v in places])
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 3}  # beside the points, which are many
    axis.legend(title=labels[hue], frameon=False, fontsize=9, **below)
    _label(axis, labels[x], labels[y], title)
    return figure


def rates(table: Mapping[str, Mapping[str, tuple[float, float, float]]], *, x: str, y: str, title: str) -> Figure:
    """Rates with their intervals (rate, low, high): {series: {place on x: ...}}; series side by side."""
    figure, axes = _new(1, 1, (6, 3.6))
    places = list(dict.fromkeys(place for series in table.values() for place in series))
    for i, (name, series) in enumerate(table.items()):
        at = [places.index(place) + 0.15 * (i - (len(table) - 1) / 2) for place in series]
        errors = [[r - low for r, low, _ in series.values()], [high - r for r, _, high in series.values()]]
        style = {"color": COLOURS[i % 10], "marker": MARKERS[i % 8], "capsize": 3, "linestyle": "none", "label": name}
        axes[0, 0].errorbar(at, [r for r, _, _ in series.values()], errors, **style)
    axes[0, 0].set_xticks(range(len(places)), places)
    axes[0, 0].set_ylim(-0.03, 1.03)
    axes[0, 0].legend(frameon=False, fontsize=9)
    _label(axes[0, 0], x, y, title)
    return figure


def rate_curves(
    lines: Mapping[str, Mapping[float, tuple[float, float, float]]], *, x: str, y: str, title: str
) -> Figure:
    """Rates with their intervals (rate, low, high) over a logarithmic x: {series: {x: ...}}, a line for each series."""
    figure, axes = _new(1, 1, (6, 3.6))
    for i, (name, series) in enumerate(lines.items()):
        errors = [[r - low for r, low, _ in series.values()], [high - r for r, _, high in series.values()]]
        style = {"color": COLOURS[i % 10], "marker": MARKERS[i % 8], "capsize": 3, "label": name}
        axes[0, 0].errorbar(list(series), [r for r, _, _ in series.values()], errors, **style)
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_ylim(-0.03, 1.03)
    axes[0, 0].legend(frameon=False, fontsize=9)
    _label(axes[0, 0], x, y, title)
    return figure


def bands(lines: Mapping[str, Mapping[float, tuple[float, float, float]]], *, x: str, y: str, title: str) -> Figure:
    """Medians with a band from low to high over a logarithmic x: {series: {x: (median, low, high)}}."""
    figure, axes = _new(1, 1, (6, 3.6))
    for i, (name, series) in enumerate(lines.items()):
        middle, low, high = zip(*series.values(), strict=True)
        axes[0, 0].plot(
            list(series), middle, color=COLOURS[i % 10], label=name, linestyle=("-", "--", ":", "-.")[i % 4]
        )
        axes[0, 0].fill_between(list(series), low, high, color=COLOURS[i % 10], alpha=0.2, linewidth=0)
    axes[0, 0].set_xscale("log")
    axes[0, 0].legend(frameon=False, fontsize=9)
    _label(axes[0, 0], x, y, title)
    return figure


def tradeoff(table: pandas.DataFrame, *, x: str, y: str, labels: Mapping[str, str], title: str) -> Figure:
    """Leak (y) against utility (x): a line of medians over the strengths for each defense, strengths written beside."""
    figure, axes = _new(1, 1, (6, 4))
    for i, (name, group) in enumerate(table.groupby("defense", sort=False)):
        medians = group.groupby("strength")[[x, y]].median()
        axes[0, 0].plot(medians[x], medians[y], color=COLOURS[i], marker=MARKERS[i], label=_shown(name))
        for strength, row in medians.iterrows():
            axes[0, 0].annotate(
                f"{strength:g}", (row[x], row[y]), xytext=BESIDE[i % 3], textcoords="offset points", fontsize=8
            )
    axes[0, 0].legend(frameon=False)
    _label(axes[0, 0], labels[x], labels[y], title)
    return figure


def scatter(table: pandas.DataFrame, *, x: str, y: str, hue: str, labels: Mapping[str, str], title: str) -> Figure:
    """One marker for each row of the table, its colour and shape by column hue."""
    figure, axes = _new(1, 1, (6, 3.6))
    for i, (name, group) in enumerate(table.groupby(hue, sort=False)):
        style = {"color": COLOURS[i % 10], "marker": MARKERS[i % 8], "linestyle": "none", "alpha": 0.8}
        axes[0, 0].plot(group[x], group[y], label=_shown(name), **style)
    axes[0, 0].legend(title=labels[hue], frameon=False, fontsize=9)
    _label(axes[0, 0], labels[x], labels[y], title)
    return figure


def diagram(boxes: Mapping[str, tuple[float, float, str]], arrows: Sequence[tuple[str, str, str]]) -> Figure:
    """Boxes {text: (x, y, colour)} in the unit square and arrows (from text, to text, words beside), in from's colour.

    Boxes stand in rows and columns: an arrow is level or upright.
    """
    figure, axes = _new(1, 1, (6, 3.9))
    axis = axes[0, 0]
    for start, end, words in arrows:
        (x0, y0, colour), (x1, y1, _) = boxes[start], boxes[end]
        level = y0 == y1
        gap = 56 if level else 26  # points, about half a box
        style = {"arrowstyle": "-|>", "linewidth": 1.8, "color": colour, "shrinkA": gap, "shrinkB": gap}
        axis.annotate("", (x1, y1), (x0, y0), arrowprops=style)
        x, y = (x0 + x1) / 2 + 0.03 * (not level), (y0 + y1) / 2 + 0.03 * level
        axis.text(x, y, words, ha="center" if level else "left", fontsize=11)
    for text, (x, y, colour) in boxes.items():
        frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": colour, "linewidth": 2}
        axis.text(x, y, text, ha="center", va="center", fontsize=11, bbox=frame)
    axis.set(xlim=(-0.05, 0.85), ylim=(0, 1))
    axis.set_axis_off()
    return figure
