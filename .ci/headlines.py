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

from pandas import DataFrame
from torch import tensor

from uninv_lib.claims import shown
from uninv_lib.metrics import interval, rate
from uninv_lib.results import frame, read

ROOT = Path(__file__).parents[1]
README, EXECUTED = ROOT / "README.md", ROOT / "_build" / "executed"
HEADLINES = "headlines", "| claim | verdict | chapter |\n|---|---|---|\n"
NUMBERS = "numbers", "| what an attacker gets | how much |\n|---|---|\n"
VERDICT = re.compile(r"\*\*(C\d+\b[^*]*?)\.?\*\* \*([^*]+)\*")


def headlines() -> Iterator[tuple[int, str]]:
    """(number of the claim, row of the table), as the cells show them."""
    for file in EXECUTED.glob("*.json"):
        for cell in json.loads(json.loads(file.read_text(encoding="utf-8"))["notebook"])["cells"]:
            if "headline" in cell["metadata"].get("tags", []):
                for output in cell["outputs"]:
                    for claim, word in VERDICT.findall(
                        "".join(output.get("data", {}).get("text/markdown", ""))
                    ):
                        number, text = re.findall(r"\d+", claim)[0], claim.replace("|", "\\|")
                        yield int(number), f"| {text} | {word} | {int(file.stem[:2])} |\n"


def decibels(rows: DataFrame, column: str = "gain") -> str:
    """The median, with its interval over models first where there are several."""
    return shown(interval(tensor(rows[column].array), models=tensor(rows.model_seed.array)), "dB")


def share(rows: DataFrame) -> str:
    """The share of requests whose label is named."""
    right = tensor(rows.label_accuracy.array)
    return shown(rate(right, models=tensor(rows.model_seed.array)), "%")


def numbers() -> Iterator[str]:
    """Rows of the table of ten numbers."""
    photos, alone, defended, labels, scored, converged, second = (
        frame(read(name))
        for name in (
            "features",
            "private_size",
            "defenses",
            "labels",
            "labels_scores_convnet",
            "labels_parameters",
            "second_order",
        )
    )
    photos = photos.query("dataset == 'photos' and model == 'convnet'")
    pruned = defended.query(
        "dataset == 'photos' and model == 'mlp' and defense == 'pruning' and strength == 0.5"
    )
    stated = alone.query("knowledge == 'none'")
    digits = "dataset == 'digits' and unlearning == 'gradient_ascent' and forget_share == 0.5"
    share_ = "model == 'convnet' and forget_share == 0.1"
    linear = "dataset == 'digits' and model == 'linear' and private_size == 600"
    found = {
        "a photograph after approximate unlearning": decibels(photos.query("attack == 'fast'")),
        "the same by the published search, told the label": decibels(
            photos.query("attack == 'paper'")
        ),
        "a digit after exact unlearning, where nobody else was private": decibels(
            stated.query("private_size == 1")
        ),
        "the same among 32 private samples": decibels(stated.query("private_size == 32")),
        "a digit after exact unlearning of a converged layer": decibels(
            second.query(f"{linear} and dtype == 'float64'")
        ),
        "a photograph after pruning, attacker who does not know": decibels(pruned),
        "the same, attacker who knows": decibels(pruned, "gain_adaptive"),
        "the label of half a class after approximate unlearning, published probes": share(
            labels.query(f"{digits} and model == 'convnet'")
        ),
        "the label of a tenth of a class, with the repaired score": share(
            scored.query(f"{share_} and unlearning == 'gradient_ascent'")
        ),
        "the same after exact unlearning of a converged layer": share(
            converged.query(f"{share_} and training == 'converged'")
        ),
    }
    for what, number in found.items():
        yield f"| {what} | {number} |\n"


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
