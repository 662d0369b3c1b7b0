"""The download button holds the page's source itself: a link to a file on disk
would only show it.

A notebook is given without its outputs, as it stands in the repository.
"""

import base64
import json
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

BUTTON = "download-source-button"


def source_of(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    notebook = json.loads(text)
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def embed(
    app: Sphinx,
    page: str,
    _template: str,
    context: dict[str, Any],
    doctree: Any,
) -> None:
    """book.js gives the link its file name."""
    if doctree is None:
        return
    for button in [
        one
        for group in context["header_buttons"]
        for one in group.get("buttons", [])
    ]:
        if button.get("label") == BUTTON:
            source = base64.b64encode(
                source_of(Path(app.env.doc2path(page))).encode()
            ).decode()
            button["url"] = f"data:application/octet-stream;base64,{source}"


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect(
        "html-page-context", embed, priority=900
    )  # after the theme, which makes the buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
