"""The ledger: verdicts follow from Records, and are those of the chapters."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from uninv_lib.ledger import (
    ENTRIES,
    LADDER,
    LATER,
    deviations,
    differences,
    ran,
    rows_of,
    said,
    verdict,
)
from uninv_lib.results import RESULTS

ROOT = Path(__file__).parents[1]
SAID = dict(
    re.findall(r"^\| (C\d+: .*?) \| ([a-z ]+) \| \d \|$", (ROOT / "README.md").read_text(), re.M)
)
C3 = next(entry for entry in ENTRIES if entry.name == "C3")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.claim)
def test_a_verdict_is_that_of_the_chapter(entry):
    assert verdict(entry).word == SAID[entry.claim.removesuffix(".")]


def test_every_claim_of_the_paper_has_an_entry():
    assert {entry.name for entry in ENTRIES} == {f"C{i}" for i in range(1, 11)}


@pytest.mark.parametrize("entry", [*LATER, *LADDER], ids=lambda entry: entry.claim)
def test_each_case_of_a_later_finding_and_of_a_rung_has_records(entry):
    rows = rows_of(entry)
    assert verdict(entry, rows).cases
    assert (ROOT / "book" / f"{entry.chapter}.ipynb").is_file()


def test_a_verdict_changes_with_its_records(tmp_path, monkeypatch):
    before, file = verdict(C3), tmp_path / "several.jsonl"
    shutil.copy(RESULTS / file.name, file)
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'"gain_(\d)":[-\d.]+', r'"gain_\1":90.0', text), encoding="utf-8")
    monkeypatch.setattr("uninv_lib.results.RESULTS", tmp_path)
    assert (before.word, verdict(C3).word) == ("not shown", "holds")


def test_a_claim_that_no_record_speaks_of_is_an_error():
    with pytest.raises(ValueError, match="no Record of several is model == 'vit'"):
        rows_of(replace(C3, where="model == 'vit'"))


def test_rows_are_held_against_those_of_their_request():
    alone = next(entry for entry in ENTRIES if entry.against == ("private_size", 1))
    changed = rows_of(alone)
    sizes = rows_of(replace(alone, against=None)).set_index(["dtype", "seed", "private_size"]).gain
    for row in changed.itertuples():
        expected = sizes[row.dtype, row.seed, row.private_size] - sizes[row.dtype, row.seed, 1]
        assert row.gain == pytest.approx(expected)


def test_what_others_are_held_against_is_told_as_run():
    alone = next(entry for entry in ENTRIES if entry.against == ("private_size", 1))
    assert 1 not in rows_of(alone).private_size.values
    assert len(ran(alone)) == 128
    assert "private_size 1, 128 (8, 32, 512, 1000)" in list(deviations(ran(alone)))


def test_what_was_run_and_where_it_leaves_the_protocol_is_told():
    rows = ran(C3)
    assert said(rows) == "24 Records, 1 model, 1 private set, 8 requests; photos; convnet; fast"
    assert "width 16 (64)" in list(deviations(rows))
    assert differences([rows, rows])["width"] == ("64", "16")
