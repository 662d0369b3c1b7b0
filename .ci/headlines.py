"""The README says what the built chapters say: python .ci/headlines.py [--write].

Cells tagged `headline` show verdicts and sentences that were computed; `make book` keeps them in _build/executed. The
README holds them between two marks, word by word. Exit status 1 where they differ; --write puts them there.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
README, EXECUTED = ROOT / "README.md", ROOT / "_build" / "executed"
START, END = "<!-- headlines -->\n", "<!-- /headlines -->"


def headlines() -> Iterator[str]:
    """The Markdown that such cells show, in the order of the book, a line each."""
    for file in sorted(EXECUTED.glob("*.json")):
        for cell in json.loads(json.loads(file.read_text(encoding="utf-8"))["notebook"])["cells"]:
            if "headline" in cell["metadata"].get("tags", []):
                for output in cell["outputs"]:
                    yield "".join(output["data"]["text/markdown"]).strip()


def main() -> int:
    found = list(headlines())
    if not found:
        print(f"no executed chapter in {EXECUTED} shows a headline: run `make book` first")
        return 1
    block = "\n".join(f"- {line}" for line in found) + "\n"
    before, rest = README.read_text(encoding="utf-8").split(START)
    old, after = rest.split(END)
    if old == block:
        return 0
    if "--write" in sys.argv[1:]:
        README.write_text(f"{before}{START}{block}{END}{after}", encoding="utf-8")
        return 0
    typed = set(old.splitlines())
    print("README.md differs from the built chapters; `python .ci/headlines.py --write` brings:")
    print(*(line for line in block.splitlines() if line not in typed), sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
