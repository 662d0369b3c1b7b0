"""The README says what the built chapters and the Records say: python .ci/headlines.py [--write].

Cells tagged `headline` show verdicts on the paper's claims; `make book` keeps them in
_build/executed. The README holds each claim with its word in a table between two marks, and ten
numbers, computed here from results/, between two others. Exit status 1 where they differ; --write
puts them there.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from torch import tensor

from uninv_lib.claims import collected, shown
from uninv_lib.metrics import interval, rate
from uninv_lib.results import frame, read

ROOT = Path(__file__).parents[1]
README, EXECUTED = ROOT / "README.md", ROOT / "_build" / "executed"
HEADLINES = "headlines", "| claim | verdict | chapter |\n|---|---|---|\n"
NUMBERS = "numbers", "| what an attacker gets | above a guess, or how often |\n|---|---|\n"
PHOTOS = "dataset == 'photos' and model == 'convnet'"
ALONE = "knowledge == 'none' and private_size"
LAYER = "dataset == 'digits' and model == 'linear' and private_size == 600 and dtype == 'float64'"
PRUNED = "dataset == 'photos' and model == 'mlp' and defense == 'pruning' and strength == 0.5"
LABELS = "dataset == 'digits' and model == 'convnet' and forget_share"
CASES = [
    (
        "a photograph after approximate unlearning",
        "features",
        f"{PHOTOS} and attack == 'fast'",
        "gain",
    ),
    (
        "the same by the published loop of 300 iterations, told the label",
        "features",
        f"{PHOTOS} and attack == 'paper'",
        "gain",
    ),
    (
        "a digit after exact unlearning, nobody else private",
        "private_size",
        f"{ALONE} == 1",
        "gain",
    ),
    ("the same among 32 private samples", "private_size", f"{ALONE} == 32", "gain"),
    ("a digit after exact unlearning of a converged layer", "second_order", LAYER, "gain"),
    ("a photograph after pruning, from who does not know of it", "defenses", PRUNED, "gain"),
    ("the same, from who knows", "defenses", PRUNED, "gain_adaptive"),
    (
        "the label of half a class after approximate unlearning, as published",
        "labels",
        f"{LABELS} == 0.5 and unlearning == 'gradient_ascent'",
        "label_accuracy",
    ),
    (
        "the label of a tenth of a class, repaired",
        "labels_scores_convnet",
        f"{LABELS} == 0.1 and unlearning == 'gradient_ascent'",
        "label_accuracy",
    ),
    (
        "the same after exact unlearning of a converged layer",
        "labels_parameters",
        f"{LABELS} == 0.1 and training == 'converged'",
        "label_accuracy",
    ),
]
"""(what an attacker gets, of which file of results/, which rows, which column)."""
CLAIM = re.compile(r"C(\d+)\b")


def headlines() -> Iterator[tuple[int, str]]:
    """(number of the claim, row of the table), as the cells show them."""
    for file in EXECUTED.glob("*.json"):
        cells = json.loads(json.loads(file.read_text(encoding="utf-8"))["notebook"])["cells"]
        shown = [cell for cell in cells if "headline" in cell["metadata"].get("tags", [])]
        for verdict in collected(shown):
            if number := CLAIM.match(verdict["claim"]):
                text = verdict["claim"].removesuffix(".").replace("|", "\\|")
                yield int(number[1]), f"| {text} | {verdict['word']} | {int(file.stem[:2])} |\n"


def numbers() -> Iterator[str]:
    """Rows of the table of numbers: of each case the median gain, or the share of labels that are
    named, with its interval over models first where there are several.
    """
    for what, name, query, column in CASES:
        rows = frame(read(name)).query(query)
        values, models = tensor(rows[column].array), tensor(rows.model_seed.array)
        if column == "label_accuracy":
            yield f"| {what} | {shown(rate(values, models=models), '%')} |\n"
        else:
            yield f"| {what} | {shown(interval(values, models=models), 'dB')} |\n"


def placed(text: str, table: tuple[str, str], rows: list[str]) -> str:
    """The text with these rows between the table's marks. Raises ValueError without the marks."""
    name, head = table
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, opened, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{README} has no table between the marks {start.strip()} and {end}")
    return f"{before}{start}{head}{''.join(rows)}{end}{after}"


def main() -> int:
    """Compare, or write; the exit status."""
    found = [row for _, row in sorted(headlines(), key=lambda pair: pair[0])]
    if not found:
        print(f"no executed chapter in {EXECUTED} shows a headline: run `make book` first")
        return 1
    old = README.read_text(encoding="utf-8")
    try:
        new = placed(placed(old, HEADLINES, found), NUMBERS, list(numbers()))
    except ValueError as error:
        print(error)
        return 1
    if "--write" in sys.argv[1:]:
        README.write_text(new, encoding="utf-8")
    elif new != old:
        print("README.md differs from the book; `python .ci/headlines.py --write` brings:")
        print(*(line for line in new.splitlines() if line not in old.splitlines()), sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
