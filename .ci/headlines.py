"""The README says what the built chapters say: python .ci/headlines.py [--write].

Cells tagged `headline` show verdicts on the paper's claims; `make book` keeps them in
_build/executed. The README holds each claim with its word in a table between two marks. Exit status
1 where they differ; --write puts them there.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from uninv_lib.claims import collected

ROOT = Path(__file__).parents[1]
README, EXECUTED = ROOT / "README.md", ROOT / "_build" / "executed"
START, END = "<!-- headlines -->\n", "<!-- /headlines -->"
HEAD = "| claim | verdict | chapter |\n|---|---|---|\n"
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


def main() -> int:
    found = [row for _, row in sorted(headlines(), key=lambda pair: pair[0])]
    if not found:
        print(f"no executed chapter in {EXECUTED} shows a headline: run `make book` first")
        return 1
    before, start, rest = README.read_text(encoding="utf-8").partition(START)
    old, end, after = rest.partition(END)
    if not (start and end):
        print(f"{README} has no table between the marks {START.strip()} and {END}")
        return 1
    if old == HEAD + "".join(found):
        return 0
    if "--write" in sys.argv[1:]:
        README.write_text(f"{before}{START}{HEAD}{''.join(found)}{END}{after}", encoding="utf-8")
        return 0
    print("README.md differs from the built chapters; `python .ci/headlines.py --write` brings:")
    print(*(row for row in found if row not in old), sep="")
    return 1


if __name__ == "__main__":
    sys.exit(main())
