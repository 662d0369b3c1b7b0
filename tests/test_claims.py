"""The rule of verdicts: which word the cases give, and the sentence that says it."""

import json

import pandas
import pytest
import torch

from uninv_lib import claims, metrics
from uninv_lib.claims import (
    RULE,
    Said,
    above,
    below,
    cases,
    check,
    not_testable,
    share,
    shown,
    table,
)
from uninv_lib.measure.features import gains

HIGH, LOW, WIDE = (5.0, 4.0, 6.0), (1.0, 0.5, 2.0), (3.0, 1.0, 5.0)


@pytest.mark.parametrize(
    ("cases", "word"),
    [
        ([HIGH, HIGH], "holds"),
        ([HIGH, WIDE], "holds with conditions"),
        ([HIGH, LOW], "holds with conditions"),
        ([LOW, WIDE], "refuted"),
        ([LOW], "refuted"),
        ([WIDE, WIDE], "not shown"),
    ],
)
def test_the_word_follows_from_the_cases_on_either_side(cases, word):
    named = {f"case {i}": case for i, case in enumerate(cases)}
    assert above(named, 3, "C0").word == word
    mirrored = {name: (-v, -high, -low) for name, (v, low, high) in named.items()}
    assert below(mirrored, -3, "C0").word == word
    assert word in RULE


def test_a_bound_that_the_interval_touches_decides_nothing():
    assert above({"a": (4.0, 3.0, 5.0)}, 3, "C0").word == "not shown"
    assert below({"a": (2.0, 1.0, 3.0)}, 3, "C0").word == "not shown"


def test_the_sentence_names_the_word_the_bound_and_every_case_with_its_interval():
    said = str(above({"photos": HIGH, "digits": WIDE, "faces": LOW}, 3, "C1: it leaks.", "dB"))
    assert said == (
        "**C1: it leaks.** *holds with conditions*. Above 3.0 dB: photos 5.0 dB [4.0, 6.0]. "
        "Undecided: digits 3.0 dB [1.0, 5.0]. Below 3.0 dB: faces 1.0 dB [0.5, 2.0]."
    )


def test_the_output_of_a_verdict_holds_it_as_prose_and_as_data():
    verdict = above({"a": HIGH}, 3, "C1", "dB")
    bundle = verdict._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/markdown"] == str(verdict)
    outputs = [{"output_type": "stream", "text": "noise"}, {"data": bundle}]
    cells = [{"cell_type": "markdown"}, {"outputs": json.loads(json.dumps(outputs))}]
    assert list(claims.collected(cells)) == [
        {
            "claim": "C1",
            "side": "above",
            "bound": 3,
            "unit": "dB",
            "why": "",
            "cases": {"a": [5.0, 4.0, 6.0]},
            "word": "holds",
        }
    ]


def test_without_data_the_verdict_says_why():
    verdict = not_testable(
        "C6: on financial data.", "no financial data set comes with the software"
    )
    assert verdict.word == "not testable here"
    assert str(verdict).endswith(
        "*not testable here*: no financial data set comes with the software."
    )


def test_a_verdict_that_the_text_does_not_say_stops_the_chapter():
    verdict = above({"a": HIGH, "b": WIDE}, 3, "C0")
    assert verdict.asserted("holds", "holds with conditions") is verdict
    with pytest.raises(AssertionError, match=r"(?s)b 3 \[1, 5\].*the text beside it says: holds"):
        verdict.asserted("holds")


def test_a_statement_holds_as_a_whole_or_stops_the_chapter():
    assert check("Two are one more than one.", 2 == 1 + 1) == "Two are one more than one."
    assert check("All.", True, torch.ones(2) > 0, pandas.Series([1, 2]) > 0)
    with pytest.raises(AssertionError, match="does not hold: The last is positive"):
        check("The last is positive.", torch.tensor([1, -1]) > 0)
    with pytest.raises(ValueError, match=r"holds: nothing for .Nothing"):
        check("Nothing.")


ROWS = pandas.DataFrame(
    {
        "net": ["mlp"] * 6 + ["linear"] * 2,
        "n": [8, 8, 8, 32, 32, 32, 8, 8],
        "model_seed": [0, 1, 1, 0, 1, 1, 0, 0],
        "gain": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0],
    }
)
ROWS["right"] = ROWS.gain > 2


def test_cases_are_named_by_the_columns_and_drawn_over_models_first():
    found = cases(ROWS, ["net", "n"], "gain", name="{net} (N = {n})")
    assert list(found) == ["mlp (N = 8)", "mlp (N = 32)", "linear (N = 8)"]
    own = ROWS.head(3)
    models = torch.tensor(own.model_seed.to_numpy())
    assert found["mlp (N = 8)"] == metrics.interval(torch.tensor([1.0, 2, 3]), models=models)
    assert found["mlp (N = 8)"] == claims.median(own, "gain")
    assert claims.median(own, "gain", over=None) == metrics.interval(torch.tensor([1.0, 2, 3]))


def test_cases_of_a_share_are_rates():
    found = cases(ROWS, "net", "right", of=share)
    assert list(found) == ["mlp", "linear"]
    assert found["linear"] == metrics.wilson(2, 2)
    assert cases(ROWS, "net", "right", of=share, over=None)["mlp"] == metrics.wilson(4, 6)


@pytest.mark.parametrize("case", [(1.0, 2.0, 3.0), (float("nan"),) * 3])
def test_what_is_no_interval_is_refused(case):
    with pytest.raises(ValueError, match=r"cases: a has .*; allowed: low <= value <= high"):
        above({"a": case}, 0, "C0")
    with pytest.raises(ValueError, match="cases: none"):
        above({}, 0, "C0")
    with pytest.raises(ValueError, match="bound: nan for 'C0'"):
        above({"a": HIGH}, float("nan"), "C0")


@pytest.mark.parametrize(
    ("found", "unit", "text"),
    [
        ((10.52, -7.26, 12.5), "dB", "10.5 dB [−7.3, 12.5]"),
        ((0.461, 0.39, 0.53), "%", "46% [39, 53]"),
        ((0.994, 0.97, 1.0), "", "0.994 [0.97, 1]"),
        (3.2e-7, "", "3.2 × 10⁻⁷"),
        (24.81, "dB", "24.8 dB"),
        (-0.04, "dB", "0.0 dB"),
    ],
)
def test_figures_are_written_in_one_way(found, unit, text):
    assert shown(found, unit) == text


def test_an_unknown_unit_is_refused():
    with pytest.raises(ValueError, match="unit: 'db'; allowed: 'dB'"):
        shown(1.0, "db")


def test_a_table_is_markdown():
    said = table([{"data": "photos", "n": 3}, {"data": "digits", "n": 4}])
    assert isinstance(said, Said)
    assert said._repr_markdown_() == "| data | n |\n| --- | --- |\n| photos | 3 |\n| digits | 4 |"


def test_a_table_writes_the_columns_whose_unit_is_given():
    said = table([{"n": 3, "gain": HIGH, "share": 0.5}], gain="dB", share="%")
    assert said.splitlines()[-1] == "| 3 | 5.0 dB [4.0, 6.0] | 50% |"


def test_a_bar_in_a_cell_does_not_end_it():
    assert table([{"|x|": "a|b"}]) == "| \\|x\\| |\n| --- |\n| a\\|b |"


def test_an_infinite_bound_can_be_said():
    assert str(above({"a": HIGH}, float("inf"), "C0")) == "**C0** *refuted*. Below inf: a 5 [4, 6]."


def test_every_word_of_the_rule_can_be_given():
    assert set(RULE) == set(claims.Word.__args__)  # type: ignore[attr-defined]


# The intervals


def test_an_interval_over_models_is_wider_where_models_differ():
    models = torch.arange(5).repeat_interleave(8)
    alike = torch.randn(40, generator=torch.Generator().manual_seed(0))
    differ = alike + 3 * models
    width = {
        name: high - low
        for name, (_, low, high) in {
            "persons": metrics.interval(differ),
            "models": metrics.interval(differ, models=models),
            "alike": metrics.interval(alike, models=models),
        }.items()
    }
    assert width["models"] > 1.5 * width["persons"]
    assert width["alike"] < width["persons"]


def test_an_interval_over_models_takes_models_of_unequal_size_and_one_alone():
    values, models = torch.arange(10.0), torch.tensor([0] * 7 + [3] * 3)
    middle, low, high = metrics.interval(values, models=models)
    assert low <= middle == 4.5 <= high
    assert metrics.interval(values, models=torch.zeros(10)) == pytest.approx(
        metrics.interval(values), abs=1.5
    )


def test_a_rate_over_models_is_never_narrower_than_wilson():
    right, models = torch.tensor([1.0] * 10 + [0.0] * 10), torch.tensor([0] * 10 + [1] * 10)
    assert metrics.rate(right) == metrics.wilson(10, 20)
    assert metrics.rate(right, models=models) == (0.5, 0.0, 1.0)
    assert metrics.rate(torch.ones(20), models=models) == metrics.wilson(20, 20)


@pytest.mark.parametrize("value", [0.5, float("nan"), 2.0])
def test_a_rate_of_what_is_not_right_or_wrong_is_refused(value):
    with pytest.raises(ValueError, match=r"right: .*; allowed: 0 and 1"):
        metrics.rate(torch.tensor([1.0, value]))


def test_gains_are_above_the_best_null_sample_by_sample():
    found = {
        "psnr": 20.0,
        "psnr_random": 5.0,
        "psnr_class_mean": 12.0,
        "psnr_max_diff": 13.0,
        "psnr_adaptive": 30.0,
    }
    assert gains(found) == {"gain": 7.0, "gain_adaptive": 17.0}
    two = {f"{name}_{i}": value + i for name, value in found.items() for i in range(2)}
    several = gains(found | two)
    assert (several["gain_1"], several["gain_adaptive_1"]) == (7.0, 17.0)
