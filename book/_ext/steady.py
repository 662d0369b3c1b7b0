"""Keep a place for each formula in a line, about as wide as it will be, so that
lines do not move when it is set.
"""

import re
from html import unescape
from typing import Any

from sphinx.application import Sphinx

INLINE = re.compile(
    r'<span class="math notranslate nohighlight">(\\\(.*?\\\))</span>',
    re.DOTALL,
)
INVISIBLE = re.compile(
    r"\\(?:left|right|big|mathrm|mathbf|mathcal|mathbb|text|operatorname|hat|bar|tilde|frac|[,;!])"
)
LETTER = re.compile(r"\\[a-zA-Z]+|[^\s{}\\]")
SMALL = re.compile(r"[_^](\{[^{}]*\}|\\[a-zA-Z]+|\S)")


def ems(formula: str) -> float:
    """The width of a formula: half an em a letter, below and above the line
    less, around a relation more.
    """
    seen = INVISIBLE.sub("", formula[2:-2])
    small = [
        letter
        for part in SMALL.findall(seen)
        for letter in LETTER.findall(part)
    ]
    letters = LETTER.findall(SMALL.sub("", seen))
    relations = sum(
        letter in "=<>+-" or letter in (r"\approx", r"\le", r"\ge", r"\times")
        for letter in letters
    )
    return 0.53 * len(letters) + 0.4 * len(small) + 0.6 * relations


def reserve(
    _app: Sphinx,
    _page: str,
    _template: str,
    context: dict[str, Any],
    _doctree: Any,
) -> None:
    def styled(found: re.Match[str]) -> str:
        width = f"{ems(unescape(found[1])):.1f}"
        kind = 'class="math notranslate nohighlight"'
        return f'<span {kind} style="--ems: {width}">{found[1]}</span>'

    if "body" in context:
        context["body"] = INLINE.sub(styled, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", reserve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
