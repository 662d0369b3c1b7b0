"""Figures are legible on a phone, defenses look the same in each, and nothing is written over
something else.
"""

from itertools import combinations

import matplotlib.text
import pandas
import pytest
import torch

from uninv_lib import figures
from uninv_lib.figures.palette import DEFENSE_STYLE
from uninv_lib.figures.parts import WIDTH, ordered

STRENGTHS = {
    "obfuscation": (0.1, 0.3, 1, 3),
    "fine_tuning": (1, 5, 20),
    "pruning": (0.1, 0.5),
    "none": (0,),
}
UNITS = {
    "obfuscation": "relative norm",
    "pruning": "share of the weights",
    "fine_tuning": "epochs",
    "y": "PSNR (dB)",
}
RUNS = pandas.DataFrame(
    [
        {
            "defense": name,
            "strength": s,
            "psnr": 104 / (1 + s) + seed,
            "accuracy": 0.57,
            "user": seed % 2,
            "server": 1,
        }
        for name, strengths in STRENGTHS.items()
        for s in strengths
        for seed in range(4)
    ]
)
LABELS = {
    "strength": "strength",
    "psnr": "PSNR (dB)",
    "accuracy": "test accuracy",
    "defense": "defense",
}
WORDS = {"x": "place", "y": "rate", "title": "a title"}
RATES = {name: {"0.1": (0.5, 0.4, 0.6), "1": (0.7, 0.6, 0.8)} for name in ("none", "pruning")}
BANDS = {name: {0.1: (0.5, 0.4, 0.6), 1: (0.7, 0.6, 0.8)} for name in ("none", "pruning")}
DRAWN = {
    "pictures": lambda: figures.pictures(
        {"": torch.rand(4, 1, 8, 8)}, titles=["a long title of a picture"] * 4
    ),
    "curves": lambda: figures.curves({"cost": [1.0, 2.0], "psnr": [3.0, 1.0]}, **WORDS),
    "bars": lambda: figures.bars([1.0, -2.0], ["hubble deep field", "retina"], marked=1, **WORDS),
    "points": lambda: figures.points(
        RUNS, x="strength", y="psnr", hue="defense", labels=LABELS, title="photos", y_max=60
    ),
    "panels": lambda: figures.panels(RUNS, y="psnr", labels=UNITS, title="photos", y_max=60),
    "rates": lambda: figures.rates(RATES, **WORDS),
    "rate_curves": lambda: figures.rate_curves(BANDS, **WORDS),
    "bands": lambda: figures.bands(BANDS, **WORDS),
    "tradeoff": lambda: figures.tradeoff(
        RUNS, x="accuracy", y="psnr", labels=LABELS, title="photos", y_max=60
    ),
    "forest": lambda: figures.forest(
        RUNS,
        x={"knows": "psnr", "naive": "user"},
        cost="accuracy",
        labels={"x": "PSNR (dB)", "cost": "points lost"},
        title="photos",
        level={"hidden below": 3},
        x_max=60,
    ),
    "spots": lambda: figures.spots(
        {
            "photos": {
                "scrub": ((2.0, 1.0, 3.0), (9.0, 7.0, 20.0)),
                "sisa": ((1.0,) * 3, (0.0,) * 3),
            }
        },
        **WORDS,
        level=0,
        log=True,
        y_max=15,
    ),
    "scatter": lambda: figures.scatter(
        RUNS, x="accuracy", y="psnr", hue="defense", labels=LABELS, title="photos"
    ),
    "diagram": lambda: figures.diagram(
        {"a": (0.1, 0.5, "red"), "b": (0.6, 0.5, "blue")}, [("a", "b", "asks")]
    ),
}


def words_of(figure):
    """Every text that is drawn, with its place in pixels."""
    figure.draw_without_rendering()
    axes = [side for axis in figure.axes for side in (axis.xaxis, axis.yaxis)]
    ticks = [
        (tick, side.get_view_interval())
        for side in axes
        for tick in (*side.majorTicks, *side.minorTicks)
    ]
    outside = [tick for tick, (low, high) in ticks if not low <= tick.get_loc() <= high]
    hidden = {text for tick in outside for text in (tick.label1, tick.label2)}
    hidden |= {
        text
        for axis in figure.axes
        if not axis.axison
        for text in axis.findobj(matplotlib.text.Text)
    }
    hidden -= {text for axis in figure.axes for text in (*axis.texts, axis.title)}
    found = set(figure.findobj(matplotlib.text.Text)) - hidden
    return {
        text: text.get_window_extent()
        for text in found
        if text.get_text().strip() and text.get_visible()
    }


@pytest.mark.parametrize("name", DRAWN)
def test_type_is_legible_on_a_phone(name):
    figure = DRAWN[name]()
    assert figure.get_figwidth() <= WIDTH
    pixels_per_point = 320 / WIDTH / 72
    assert {text.get_text(): text.get_fontsize() for text in words_of(figure)
            if text.get_fontsize() * pixels_per_point < 8} == {}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_written_over_something_else_or_cut(name):
    figure = DRAWN[name]()
    boxes = words_of(figure)
    over = [
        (a.get_text(), b.get_text())
        for a, b in combinations(boxes, 2)
        if boxes[a].overlaps(boxes[b])
    ]
    assert over == []
    page = figure.bbox.padded(1)
    assert [
        t.get_text() for t, box in boxes.items() if not (page.x0 <= box.x0 and box.x1 <= page.x1)
    ] == []


def colours_of(figure):
    legend = figure.legends[0]
    handles = [
        getattr(h, "lines", [h])[0] if hasattr(h, "lines") else h for h in legend.legend_handles
    ]
    looks = [(line.get_color(), line.get_marker()) for line in handles]
    return dict(zip([text.get_text() for text in legend.get_texts()], looks, strict=True))


@pytest.mark.parametrize("name", ["points", "tradeoff", "scatter"])
def test_defenses_keep_their_colour_marker_and_order(name):
    axis = DRAWN[name]().axes[0]
    handles, names = axis.get_legend_handles_labels()
    assert names == ["none", "obfuscation", "pruning", "fine-tuning"]
    for handle, word in zip(handles, names, strict=True):
        line = handle[0] if isinstance(handle, tuple) else handle
        assert (line.get_color(), line.get_marker()) == DEFENSE_STYLE[word.replace("-", "_")]


def test_other_names_stay_as_they_come():
    assert ordered(["pruning", "b", "none", "a", "b"]) == ["none", "pruning", "b", "a"]


def test_each_panel_has_its_own_unit():
    axes = [axis for axis in DRAWN["panels"]().axes if axis.axison]
    assert [(axis.get_title(), axis.get_xlabel()) for axis in axes] == [
        ("obfuscation", "relative norm"),
        ("pruning", "share of the weights"),
        ("fine-tuning", "epochs"),
    ]
    assert [[t.get_text() for t in axis.get_xticklabels()] for axis in axes][1] == [
        "0",
        "0.1",
        "0.5",
    ]


def test_panels_tell_two_attackers_apart():
    seen = {"user": "user", "server": "server"}
    figure = figures.panels(
        RUNS, y=seen, labels=UNITS, title="digits", rate=True, level={"chance": 0.1}
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "user",
        "server",
        "chance",
    ]
    fills = {
        line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() == "s"
    }
    assert fills == {DEFENSE_STYLE["obfuscation"][0], "white"}


def test_a_forest_has_a_row_for_each_strength_with_every_attacker_and_the_cost():
    figure = DRAWN["forest"]()
    axis = figure.axes[0]
    rows = [text.get_text().split() for text in axis.get_yticklabels()]
    assert rows[:3] == [["none"], ["obfuscation", "0.1"], ["0.3"]]
    beside = [text.get_text() for text in axis.texts]
    assert beside == ["0.6"] * len(rows) + ["points lost"]
    marks = [line for line in axis.lines if line.get_marker() == "s" and len(line.get_xdata()) == 1]
    assert [line.get_fillstyle() for line in marks[:2]] == ["full", "none"]
    assert marks[0].get_xdata()[0] == 60, "what is above the cap stands on it"
    assert axis.get_xticklabels()[-1].get_text() == "60+"
    assert axis.yaxis_inverted()


def test_intervals_are_drawn_over_models_first():
    table = pandas.DataFrame(
        [
            {"defense": "pruning", "strength": 0.1, "model": m, "hit": m % 2}
            for m in range(6)
            for _ in range(20)
        ]
    )
    words = {"y": "hit", "labels": UNITS, "title": "digits", "rate": True}
    alone, over_models = (
        figures.panels(table, **words, models=models).axes[0].collections[0].get_segments()[0][:, 1]  # type: ignore[attr-defined]
        for models in (None, "model")
    )
    assert over_models[0] < alone[0] < alone[1] < over_models[1]


def test_a_second_line_of_a_defense_is_hollow():
    both = pandas.concat([RUNS, RUNS[RUNS.defense == "pruning"].assign(defense="pruning, naive")])
    figure = figures.tradeoff(both, x="accuracy", y="psnr", labels=LABELS, title="photos")
    full, hollow = (line for line in figure.axes[0].lines if line.get_label().startswith("pruning"))  # type: ignore[attr-defined]
    assert full.get_color() == hollow.get_color() == DEFENSE_STYLE["pruning"][0]
    assert hollow.get_markerfacecolor() == "white"


@pytest.mark.parametrize("name", ["points", "panels", "tradeoff"])
def test_what_is_above_the_cap_stands_on_it(name):
    axis = DRAWN[name]().axes[0]
    assert axis.get_yticklabels()[-1].get_text() == "60+"
    assert max(max(line.get_ydata(), default=0) for line in axis.lines) == 60


def test_chance_is_a_line():
    figure = figures.rates({**RATES, "chance": dict.fromkeys(("0.1", "1"), (0.1,) * 3)}, **WORDS)
    assert [
        list(line.get_ydata()) for line in figure.axes[0].lines if line.get_label() == "chance"
    ] == [[0.1, 0.1]]
