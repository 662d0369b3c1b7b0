"""An old address leads to where its content is now, with its anchor.

`moved` in _config.yml names for an old page those that hold its content; an
anchor that none of them has leads to the first. An old page that still is one
sends on only who asks for an anchor that it has no more.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ANCHOR = re.compile(r'\sid="([^"]+)"')
COUNTED = re.compile(r"id\d+")  # names of no lasting meaning
SCRIPT = """<script>
(() => {{
  const moved = {moved};
  const anchor = decodeURIComponent(location.hash.slice(1));
  const page = moved[anchor] ?? {first};
  if (page) location.replace(page + location.hash);
}})();
</script>
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>This page has moved</title>
<noscript><meta http-equiv="refresh" content="0; url={first}"></noscript>
{script}</head>
<body><p>This page has moved to <a href="{first}">{first}</a>.</p></body>
</html>
"""


def anchors(page: Path) -> set[str]:
    """The anchors of a page's own text."""
    article = page.read_text(encoding="utf-8").partition("<article")[2]
    found = ANCHOR.findall(article.partition("</article>")[0])
    return {name for name in found if not COUNTED.fullmatch(name)}


def lead_on(old: Path, pages: Sequence[Path]) -> None:
    """Write the old page, or a script into it where it still is one."""
    own = anchors(old) if old in pages else set()
    moved: dict[str, str] = {}
    for page in pages:
        for name in sorted(anchors(page) - own):
            moved.setdefault(name, page.name)
    if old in pages:
        text = old.read_text(encoding="utf-8")
        script = SCRIPT.format(moved=json.dumps(moved), first="null")
        text = text.replace("</body>", f"{script}</body>")
    else:
        first = pages[0].name
        script = SCRIPT.format(moved=json.dumps(moved), first=json.dumps(first))
        text = PAGE.format(first=first, script=script)
    old.write_text(text, encoding="utf-8")


def lead_all_on(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    for old, names in app.config.moved.items():
        pages = [Path(app.outdir, f"{name}.html") for name in names]
        if all(page.is_file() for page in pages):
            lead_on(Path(app.outdir, f"{old}.html"), pages)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("moved", {}, "html")
    app.connect("build-finished", lead_all_on)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
