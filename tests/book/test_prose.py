"""What the book says is what its runs show: no figure of a result and no verdict stands in text
that was typed.

A number in a Markdown cell or a page of text is allowed by name in prose_numbers.yaml, with what it
is; figures of results come from cells (`claims.Said`, `claims.Verdict`). `python
tests/book/test_prose.py` lists what is new.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[2]
ALLOWED = yaml.safe_load(Path(__file__).with_name("prose_numbers.yaml").read_text(encoding="utf-8"))
PAGES = sorted([*ROOT.glob("book/*.ipynb"), *ROOT.glob("book/*.md"), ROOT / "README.md"])
KINDS = {
    "setting": "of a run, its protocol, its data or its command",
    "definition": "of a word, a unit, a symbol",
    "equation": "what mathematics says, derived in the text",
    "count": "of things that the page itself shows or lists",
    "date": "of a publication",
    "example": "of an exercise or a made-up case",
    "limit": "that the software or its tests keep",
    "row": "of a benchmark, which a test holds against its rows",
}
NOT_PROSE = re.compile(
    r"```(?:python|bash|text|json|yaml)\n.*?```|<!-- (?:headlines|numbers) -->.*?<!-- /\w+ -->"
    r"|\$\$.*?\$\$|\$[^$]+?\$"
    r"|`[^`\n]*`|\{[\w:]+\}`[^`]*`|\]\([^)]*\)|^#+ [^\n]*|^\*\*\d+\.\*\*|^\d+\. |C\d+|float\d\d",
    re.DOTALL | re.MULTILINE,
)
WORDS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundreds? thousands? "
    "millions? dozens? half halves "
    "thirds? quarters? fifths? tenths? hundredths? thousandths? millionths? twice percent \\w+fold"
)
NUMBER = re.compile(rf"\d(?:[\d.,:×]*\d)?%?|\b(?:{'|'.join(WORDS.split())})\b", re.IGNORECASE)
VERDICT = re.compile(r"\b(confirm|refut|qualif)\w*", re.IGNORECASE)


def texts(page: Path) -> Iterator[tuple[str, str]]:
    """(name, prose) of each Markdown cell of a notebook and of each figure's caption and alt text,
    or of a page.
    """
    if page.suffix == ".md":
        yield "page", NOT_PROSE.sub(" ", page.read_text(encoding="utf-8"))
        return
    for cell in nbformat.read(page, 4).cells:
        figure = cell.metadata.get("mystnb", {})
        typed = (
            f"{figure.get('figure', {}).get('caption', '')} "
            f"{figure.get('image', {}).get('alt', '')}"
        )
        yield cell.id, NOT_PROSE.sub(" ", cell.source if cell.cell_type == "markdown" else typed)


def numbers(page: Path) -> dict[str, set[str]]:
    found = {name: {match.lower() for match in NUMBER.findall(text)} for name, text in texts(page)}
    return {name: words for name, words in found.items() if words}


def allowed(page: Path) -> dict[str, set[str]]:
    """YAML reads 0.5 and 1e-3 as numbers: there they stand in quotes."""
    return {
        cell: {word for words in kinds.values() for word in words}
        for cell, kinds in ALLOWED.get(page.name, {}).items()
    }


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_numbers_in_prose_are_allowed_by_name(page: Path) -> None:
    found, known = numbers(page), allowed(page)
    new = {cell: sorted(words - known.get(cell, set())) for cell, words in found.items()}
    assert {cell: words for cell, words in new.items() if words} == {}, (
        "a figure of a result comes from a cell"
    )
    gone = {cell: sorted(words - found.get(cell, set())) for cell, words in known.items()}
    assert {cell: words for cell, words in gone.items() if words} == {}, "no longer in the text"


@each_page
def test_no_verdict_is_typed(page: Path) -> None:
    typed = {name: VERDICT.findall(text) for name, text in texts(page)}
    assert {name: words for name, words in typed.items() if words} == {}, (
        "a verdict comes from claims.py"
    )


def test_what_is_allowed_says_what_it_is() -> None:
    assert set(ALLOWED) <= {page.name for page in PAGES}
    kinds = Counter(
        kind for cells in ALLOWED.values() for known in cells.values() for kind in known
    )
    assert set(kinds) <= set(KINDS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "about six in ten, a few thousandths, 17 dB or 3,584",
            {"six", "ten", "thousandths", "17", "3,584"},
        ),
        ("in 46% of requests, twice chance, tenfold", {"46%", "twice", "tenfold"}),
        ("`width=8`, $N = 128$, {numref}`fig-2`, C10, float32", set()),
        ("# Chapter 3\n```bash\nrun 7\n```\n", set()),
    ],
)
def test_figures_are_found_and_code_and_formulas_are_not(text: str, found: set[str]) -> None:
    assert set(NUMBER.findall(NOT_PROSE.sub(" ", text))) == found


if __name__ == "__main__":
    for path in PAGES:
        for cell, words in numbers(path).items():
            if new := sorted(words - allowed(path).get(cell, set())):
                print(f"{path.name}: {cell}: {new}")
