"""What pages show of methods comes from Python: a defense that nobody named reaches the lab, and
lives there.
"""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.defenses import DEFENSES
from uninv_lib.figures.palette import COLOURS, DEFENSE_STYLE, MARKERS, styles
from uninv_lib.widgets import (
    DefenseLab,
    DrawForgetLeak,
    LabelMeter,
    RecoveryExplorer,
    base,
    presentation,
)
from uninv_lib.widgets import defense as lab

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*base.FOLDER.glob("*.js"), *(ROOT / "book" / "_static").glob("*.js")])
WIDGETS = (DefenseLab, DrawForgetLeak, LabelMeter, RecoveryExplorer)
FIELDS = ("model", "unlearning", "defense", "probes", "score")
FUNCTION = re.compile(r"^(?:async )?function .*?^}|^const \w+ = \([^\n]*=> \{\n.*?^};", re.M | re.S)
TABLE = re.compile(r"^const TWIN = \{.*?^};", re.M | re.S)
WORDS = {"none", "sign", "rounding", "cosine"}
"""Names that are words of SVG or of mathematics, too."""
COMMENTS = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.S)
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)


def sign_flips(
    unlearned,
    trained,
    retain,
    *,
    rng,
    strength: Annotated[float, Field(gt=0, le=1, examples=[0.25, 1.0])],
):
    """The share `strength` of the tensors is turned around the model before."""
    names = list(unlearned)[: max(1, round(strength * len(unlearned)))]
    turned = {name: 2 * trained.state[name] - unlearned[name] for name in names}
    return {**unlearned, **turned}


def fixed_point(unlearned, trained, retain, *, rng, places: Annotated[int, Field(ge=0)] = 3):
    """Weights of so many places."""
    return {name: tensor.round(decimals=places) for name, tensor in unlearned.items()}


@pytest.fixture
def fifth(monkeypatch):
    """A fifth thing to do before release, and runs of the lab in a moment."""
    monkeypatch.setitem(DEFENSES, "sign_flips", sign_flips)
    small = {"dataset": "digits", "model": "mlp", "width": 2, "budget": "smoke", "device": "cpu"}
    monkeypatch.setattr(lab, "FIXED", small)
    return "sign_flips"


def cells_of(*defenses):
    common = {"request": 3, "unlearning_rate": 1e-3}
    return [
        {**common, "defense": name, "strength": strength}
        for name in defenses
        for strength in presentation.strengths(name)
    ]


# Names, units, colours and shapes


def test_known_defenses_keep_their_colour_and_shape():
    first = dict(list(DEFENSE_STYLE.items())[:4])
    assert first == {
        "none": ("#0173b2", "o"),
        "obfuscation": ("#de8f05", "s"),
        "pruning": ("#029e73", "^"),
        "fine_tuning": ("#d55e00", "D"),
    }
    assert len({marker for _, marker in DEFENSE_STYLE.values()}) == len(DEFENSES)


def test_each_marker_has_a_shape_and_styles_differ():
    assert set(presentation.SHAPES) == set(MARKERS)
    assert len({shape["glyph"] for shape in presentation.SHAPES.values()}) == len(MARKERS)
    names = [str(i) for i in range(4 * len(COLOURS))]
    assert len(set(styles(names).values())) == len(names)


def test_everything_that_can_be_chosen_has_a_name():
    words = presentation.presentation()
    assert json.loads(json.dumps(words)) == words
    assert words["model"]["convnet"]["name"] == "convnet"
    assert words["score"]["log_odds"]["name"] == "log-odds"
    assert words["attack"]["second_order"]["name"] == "second order"
    for name in DEFENSES:
        assert (words["defense"][name]["colour"], name) == (DEFENSE_STYLE[name][0], name)
    for metric, about in words["metric"].items():
        assert set(about) == {"name", "unit", "meaning"}, metric


def test_words_are_of_methods_that_there_are():
    tables = {
        "MODEL": "model",
        "METHOD": "unlearning",
        "PROBE": "probes",
        "SCORE": "score",
        "DEFENSE": "defense",
    }
    words = presentation.presentation()
    for table, field in tables.items():
        assert set(getattr(presentation, table)) <= set(words[field]), table


def test_strengths_are_the_examples_of_the_option(monkeypatch):
    assert presentation.strengths("none") == [0]
    assert presentation.strengths("fine_tuning") == [1, 5, 20]
    monkeypatch.setitem(DEFENSES, "fixed_point", fixed_point)
    assert presentation.strengths("fixed_point") == [0], "it has one setting, its defaults"
    assert [c["strength"] for c in lab._grid() if c["defense"] == "fixed_point"] == [0] * 12

    def demanding(*, strength: Annotated[float, Field(gt=0)]): ...

    monkeypatch.setitem(DEFENSES, "demanding", demanding)
    with pytest.raises(ValueError, match="strength of demanding: no examples"):
        presentation.strengths("demanding")


def test_examples_are_allowed_and_finer_strengths_hold_them(fifth):
    for name in DEFENSES:
        values = presentation.strengths(name)
        assert values == sorted(values)
        assert set(values) <= set(lab._finer(name))
    assert lab._finer(fifth) == [0.25, 0.625, 1.0]


# A fifth defense


def test_fifth_defense_reaches_the_lab(fifth):
    made = DefenseLab(grid=cells_of("none", fifth))
    assert [cell["spec"]["strength"] for cell in made.cells] == [0, 0.25, 1]
    assert made.axes["defense"] == list(DEFENSES)
    assert made.strengths[fifth] == [0.25, 1]
    words = made.presentation["defense"][fifth]
    assert (words["name"], words["colour"], words["glyph"]) == ("sign flips", COLOURS[2], "●")
    assert not words["adaptive"]
    assert "gains from knowing of sign flips" in words["known"]
    assert made.figure().axes


def test_defense_without_a_strength_has_one_setting(fifth, monkeypatch):
    monkeypatch.setitem(DEFENSES, "fixed_point", fixed_point)
    made = DefenseLab(grid=cells_of("fixed_point"))
    assert [cell["spec"]["strength"] for cell in made.cells] == [0]
    assert made.strengths["fixed_point"] == made.finer["strengths"]["fixed_point"] == [0]


def test_attacker_who_knows_of_it_is_shown_where_there_is_one(fifth, monkeypatch):
    monkeypatch.setitem(ADAPTIVE, fifth, lambda view: view)
    made = DefenseLab(grid=cells_of("none", fifth)[:2])
    assert len(made.cells[1]["pictures"]) == 3
    assert "inferred_label_adaptive" in made.cells[1]["metrics"]
    assert made.presentation["defense"][fifth]["adaptive"]
    title = made.figure().axes[0].get_title().replace("\n", " ")
    assert title == "the lab's grid, to who knows of the defense"


def stands_alone(widget, folder):
    """A page with the state of one widget and the book's own script."""
    state = {k: v for k, v in widget.get_state().items() if k != "layout"}
    buffers = [
        {"path": [name], "data": base64.b64encode(value).decode()}
        for name, value in state.items()
        if isinstance(value, (bytes, memoryview))
    ]
    plain = {k: v for k, v in state.items() if not isinstance(v, (bytes, memoryview))}
    saved = json.dumps({"state": {"a": {"state": plain, "buffers": buffers}}})
    kind = "application/vnd.jupyter.widget"
    script = (ROOT / "book" / "_static" / "widgets.js").read_text(encoding="utf-8")
    view = f'<script type="{kind}-view+json">{{"model_id": "a"}}</script>'
    page = folder / "page.html"
    page.write_text(
        '<!DOCTYPE html><meta charset="utf-8">'
        f'<script type="{kind}-state+json">{saved.replace("</", "<" + chr(92) + "/")}</script>'
        f'<div class="cell tag_widget">{view}</div>'
        f"<script>{script}</script>",
        encoding="utf-8",
    )
    return page.as_uri()


@pytest.mark.browser
def test_fifth_defense_lives_in_the_page(fifth, browser, tmp_path):
    made = DefenseLab(grid=cells_of("none", "pruning", fifth))
    tab, faults = browser.new_page(viewport={"width": 900, "height": 900}), []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    tab.goto(f"{stands_alone(made, tmp_path)}#defense?defense={fifth}&strength=1")
    root = tab.locator(".uninv")
    root.locator("svg").wait_for()
    words = made.presentation["defense"][fifth]
    marks = root.locator(f'svg path[fill="{words["colour"]}"][d="{words["path"]}"]')
    assert marks.count() == 3, "its two runs, one of them once more as the setting"
    assert "● sign flips" in root.inner_text()
    defense = root.get_by_label("Defense", exact=True)
    assert defense.locator("option").all_inner_texts()[-1] == "sign flips"
    defense.select_option("pruning")
    root.get_by_text("The attacker who knows of pruning").wait_for()
    defense.select_option("sign flips")
    root.get_by_text("gains from knowing of sign flips").wait_for()
    root.get_by_role("slider", name="Strength").press("Home")
    root.locator('input[aria-valuetext="0.25"]').wait_for()
    root.get_by_text("reads the label").or_(root.get_by_text("Lost in rounding")).wait_for()
    assert faults == []
    tab.close()


# The scripts


@each_script
def test_scripts_are_short(script):
    lines = script.read_text(encoding="utf-8").split("\n")
    assert len(lines) <= 300
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", ["draw", "held", "bench", "words"])
def test_what_draws_is_cut_into_functions(name):
    text = (base.FOLDER / f"{name}.js").read_text(encoding="utf-8")
    sizes = {found.split("\n")[0]: found.count("\n") + 1 for found in FUNCTION.findall(text)}
    assert sizes
    assert max(sizes.values()) <= 25, sizes


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.__name__)
def test_modules_are_whole(widget, tmp_path):
    if not shutil.which("node"):
        pytest.skip("no node: install Debian's nodejs")
    module = tmp_path / "module.mjs"
    module.write_text(widget._esm, encoding="utf-8")
    found = subprocess.run(["node", "--check", module], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


@each_script
def test_no_method_no_unit_and_no_colour_stands_in_a_script(script):
    text = COMMENTS.sub("", TABLE.sub("", script.read_text(encoding="utf-8")))
    words = presentation.presentation()
    chosen = {
        word
        for field in FIELDS
        for name, about in words[field].items()
        for word in (name, about["name"])
    }
    literals = set(re.findall(r"[\"'`]([^\"'`\n]*)[\"'`]", text))
    assert not literals & (chosen - WORDS), "named as a string"
    alone = {word for word in chosen if re.search(r"[_\W\d]", word)}
    alone = (alone | {*DEFENSES, "retrain", "zoo"}) - WORDS
    assert not [word for word in alone if re.search(rf"\b{re.escape(word)}\b", text)]
    labels = {about["name"] for about in words["metric"].values() if " " in about["name"]}
    assert not [label for label in labels | {"dB", "PSNR"} if label in text]
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(", text)
