"""What every page of a built book must be: whole, free of errors, alive, and complete without a
network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from uninv_lib.book.execute import BookError

TAGS_THAT_LOAD = "audio|embed|iframe|image|img|input|link|object|script|source|track|use|video"
LOADED = re.compile(
    rf"<(?:{TAGS_THAT_LOAD})\b[^>]*?\s(?:src|href|data)\s*=\s*[\"']?([^\"'\s>]+)", re.I
)
LOADED_BY_CSS = re.compile(r"(?:url\(|@import)\s*['\"]?\s*((?:https?:)?//[^'\")\s]+)", re.I)
NO_TEXT = re.compile(r"<script.*?</script>|<[^>]*>|\s", re.DOTALL)
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL | re.I)
HOST = re.compile(r"[\"'`(](?:https?:)?//([\w-]+(?:\.[\w-]+)+)")
NAMESPACES = {"www.w3.org"}  # names of XML vocabularies; nobody asks for them
WIDGET_CELL = re.compile(r'class="[^"]*\btag_widget(?![-\w])')


def verify(html: Path, pages: Iterable[Path]) -> None:
    """Every page says something, no cell shows an error, every widget has its state, and nothing
    comes from outside.

    Links that a reader clicks may lead outside. Raises BookError that names every fault.
    """
    faults = []
    for page in pages:
        path = html / page.with_suffix(".html")
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        faults += [f"{page}: {fault}" for fault in _content(text)]
    for path in sorted([*html.rglob("*.html"), *html.rglob("*.css")]):
        name = path.relative_to(html)
        if not name.match("_static/*.html"):  # the theme's own templates
            faults += [f"{name}: {fault}" for fault in _outside(path)]
    if faults:
        raise BookError("the new book did not pass:\n" + "\n".join(faults))


def _content(text: str) -> Iterator[str]:
    if not NO_TEXT.sub(
        "", text.partition("<article")[2].partition(">")[2].partition("</article>")[0]
    ):
        yield "its page is missing or empty"
    if 'class="output traceback' in text:
        yield "a cell shows an error"
    if re.search(r'<img alt="[^"]*_images/', text):
        yield "a figure has no alt text (metadata mystnb.image.alt of its cell)"
    states: dict[str, dict[str, Any]] = {}
    views = []
    for attributes, body in SCRIPT.findall(text):
        if "widget-state+json" in attributes:
            odd: list[str] = []
            states |= json.loads(body, parse_constant=odd.append)["state"]
            yield from (f"a widget's state holds {name}, which no browser reads" for name in odd)
        elif "widget-view+json" in attributes:
            views.append(json.loads(body)["model_id"])
    cells = len(WIDGET_CELL.findall(text))
    if len(views) < cells:
        yield f"{cells} cells should show a widget, {len(views)} do"
    for view in views:
        if "_esm" not in states.get(view, {}).get("state", {}):
            yield f"the widget {view} has no state: it would be dead without a kernel"


def _outside(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    for url in {*LOADED.findall(text), *LOADED_BY_CSS.findall(text)}:
        parts = urlsplit(url)
        if parts.netloc:
            yield f"loads {url}; allowed: files of the book"
        elif not parts.scheme and not (path.parent / unquote(parts.path)).exists():
            yield f"loads {url}, which is not there"
    hosts = {host for _, body in SCRIPT.findall(text) for host in HOST.findall(body)} - NAMESPACES
    for host in sorted(hosts):
        yield f"a script refers to {host}; allowed: files of the book"
