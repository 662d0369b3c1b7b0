"""Pictures, and the diagram of who sees what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from uninv_lib.figures.parts import WIDTH, blank, wrapped


def pictures(rows: Mapping[str, Tensor], titles: Sequence[str] = ()) -> Figure:
    """Images in [0, 1], a named row for each (n, channels, height, width); titles stand above the
    first row.

    Rows of one image each stand side by side instead. Samples of a table, (n, features), are drawn
    as bar codes.
    """
    rows = {
        name: row if row.ndim == 4 else row[:, None, None].expand(-1, 1, 10, -1)
        for name, row in rows.items()
    }
    if (
        len(rows) > 1
        and all(len(row) == 1 for row in rows.values())
        and len({r.shape for r in rows.values()}) == 1
    ):
        return pictures({"": torch.cat(list(rows.values()))}, titles=list(rows))
    columns = max(len(row) for row in rows.values())
    width = min(WIDTH, 1.6 * columns)
    titles = [wrapped(title, width / columns) for title in titles]
    named = bool(titles) and any(rows)  # the first row's name stands between it and the titles
    above = 0.17 * max((title.count("\n") for title in titles), default=0) + 0.25 * named
    tall = [width / columns * row.shape[2] / row.shape[3] + 0.3 for row in rows.values()]
    figure, axes = blank(len(rows), columns, (width, sum(tall) + above), height_ratios=tall)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=False):
            pixels = image.detach().cpu().permute(1, 2, 0).squeeze(-1).float().numpy()
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        line[0].set_title(name, loc="left", fontsize=10).set_in_layout(False)
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, fontsize=10, y=1.0 + named * 0.3)
    return figure


def diagram(
    boxes: Mapping[str, tuple[float, float, str]], arrows: Sequence[tuple[str, str, str]]
) -> Figure:
    """Boxes {text: (x, y, colour)} in the unit square and arrows (from text, to text, words
    beside), in from's colour.

    Boxes stand in rows and columns: an arrow is level or upright.
    """
    figure, axes = blank(1, 1, (WIDTH, 3.6))
    axis = axes[0, 0]
    for start, end, words in arrows:
        (x0, y0, colour), (x1, y1, _) = boxes[start], boxes[end]
        level = y0 == y1
        gap = 54 if level else 25  # points, about half a box
        style = {
            "arrowstyle": "-|>",
            "linewidth": 1.8,
            "color": colour,
            "shrinkA": gap,
            "shrinkB": gap,
        }
        axis.annotate("", (x1, y1), (x0, y0), arrowprops=style)
        x, y = (x0 + x1) / 2 + 0.03 * (not level), (y0 + y1) / 2 + 0.03 * level
        axis.text(x, y, words, ha="center" if level else "left", fontsize=10)
    for text, (x, y, colour) in boxes.items():
        frame = {
            "boxstyle": "round,pad=0.4",
            "facecolor": "white",
            "edgecolor": colour,
            "linewidth": 2,
        }
        axis.text(x, y, text, ha="center", va="center", fontsize=10, bbox=frame)
    axis.set(xlim=(-0.05, 0.85), ylim=(0, 1))
    axis.set_axis_off()
    return figure
