"""A table of runs as one page that needs nothing else: small multiples, and every row."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from torch import tensor

from uninv_lib.measure import METRICS, metric_of
from uninv_lib.methods import owners
from uninv_lib.metrics import interval, wilson
from uninv_lib.runs.collect import table
from uninv_lib.spec import known_fields
from uninv_lib.support.extras import needs
from uninv_lib.support.files import whole

with needs("sweep"):
    import jinja2
    from matplotlib.figure import Figure

    from uninv_lib import figures

if TYPE_CHECKING:
    import pandas

DRAWN = ("seed", "request", "model_seed")
"""What is varied only to repeat a run; intervals are over these."""
SERIES = 8
"""Lines in a panel, at most: so many markers can be told apart."""
ALL = "all runs"
Interval = tuple[float, float, float]
ABSENT = (nan, nan, nan)


@dataclass(frozen=True)
class Panel:
    """A drawing, and what it shows in words."""

    svg: str
    alt: str


@dataclass(frozen=True)
class Chart:
    """The panels of one metric, and how to read them."""

    metric: str
    reading: str
    panels: list[Panel]


@dataclass(frozen=True)
class Row:
    """The cells of a run as text, and where its notebook is."""

    link: str | None
    cells: list[str]


def report(source: Path, target: Path) -> None:
    """Write the page of the table of `source` (see `collect.table`) to `target`, whole or not at
    all.

    Raises OSError, and ValueError for another ending than .html, and as `table` does.
    """
    if target.suffix != ".html":
        raise ValueError(f"{target}: allowed endings: .html")
    found = table(source, target.parent)
    axes = varied(found)
    repeats = [name for name in DRAWN if name in found and found[name].nunique() > 1]
    shown = {n: m for table in METRICS.values() for n, m in table.items() if m.shown}
    metrics = [name for name in shown if name in found and found[name].notna().any()]
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    template = jinja2.Environment(loader=loader, autoescape=True).get_template("report.html")
    columns = [
        name for name in ("run", *axes, *repeats, *metrics, "seconds") if found[name].notna().any()
    ]
    page = template.render(
        title=f"Runs of {source.name}",
        summary=f"{len(found)} rows that differ in {_and(axes)}, repeated over {_and(repeats)}.",
        charts=[_chart(found.dropna(subset=[metric]), metric, axes) for metric in metrics],
        columns=columns,
        rows=list(_rows(found, columns)),
    )
    with whole(target) as draft:
        draft.write_text(page, encoding="utf-8")


def varied(found: pandas.DataFrame) -> list[str]:
    """The inputs that the runs differ in, that of most values first; what only repeats a run is
    left out.
    """
    known = known_fields()
    inputs = [name for name in found if name in known or name.startswith("parameter_")]
    counts = {name: _values(found, name) for name in inputs if name not in DRAWN}
    return sorted(
        (name for name, count in counts.items() if count > 1), key=lambda name: -counts[name]
    )


def _values(found: pandas.DataFrame, name: str) -> int:
    """How many values an input has; an option, among the runs whose method has it."""
    of = owners().get(name)
    if of:
        field = next(iter(of.values()))[0]
        found = found[found[field].isin(list(of))]
    return int(found[name].nunique(dropna=False))


def _chart(found: pandas.DataFrame, metric: str, axes: Sequence[str]) -> Chart:
    """A panel for each combination of the axes that are neither across a panel nor its series."""
    shown = found.assign(
        **{name: found[name].astype(str) for name in axes if found[name].hasnans}, **{ALL: ALL}
    )
    across = axes[0] if axes else ALL
    series = axes[1] if len(axes) > 1 and shown[axes[1]].nunique() <= SERIES else ALL
    facets = [name for name in axes if name not in (across, series)]
    groups = shown.groupby(facets) if facets else [((), shown)]
    is_rate = bool(shown[metric].isin([0, 1]).all())
    panels = []
    for values, group in groups:
        title = ", ".join(f"{name} {value}" for name, value in zip(facets, values, strict=True))
        panels.append(_panel(group, metric, across, series, title=title, is_rate=is_rate))
    kind = "share of ones with its 95% Wilson" if is_rate else "median with its 95% bootstrap"
    return Chart(metric, f"Each panel: {kind} interval, by {across}.", panels)


def _panel(
    group: pandas.DataFrame, metric: str, x: str, series: str, *, title: str, is_rate: bool
) -> Panel:
    measure = _rate if is_rate else _median
    found = {
        (line, place): measure(values)
        for (place, line), values in group.groupby([x, series])[metric]
    }
    about = metric_of(metric)
    unit = f" ({about[1].unit})" if about and about[1].unit == "dB" else ""
    labels = {x: x, metric: f"{metric}{unit}", series: series}
    if is_rate:
        lines: dict[str, dict[str, Interval]] = {
            str(line): {
                str(place): found.get((line, place), ABSENT) for place in sorted(group[x].unique())
            }
            for line in group[series].unique()
        }
        figure = figures.rates(lines, x=x, y=metric, title=title)
    else:
        figure = figures.points(group, x=x, y=metric, hue=series, labels=labels, title=title)
    read = (
        f"{line}, {x} {place}: {m:.3g} [{low:.3g}, {high:.3g}]"
        for (line, place), (m, low, high) in found.items()
    )
    return Panel(_svg(figure), f"{metric}; {title}; " + "; ".join(read))


def _rate(values: pandas.Series[float]) -> Interval:
    return wilson(int(values.sum()), len(values))


def _median(values: pandas.Series[float]) -> Interval:
    return interval(tensor(values.to_numpy(dtype=float)))


def _svg(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return base64.b64encode(file.getvalue()).decode()


def _and(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _rows(found: pandas.DataFrame, columns: Sequence[str]) -> Iterator[Row]:
    for _, values in found.iterrows():
        link = values["notebook"]
        yield Row(
            link if isinstance(link, str) else None, [_shown(values[name]) for name in columns]
        )


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
