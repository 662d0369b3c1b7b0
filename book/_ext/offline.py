"""Carry MathJax inside the book, so that formulas need no network.

The wheel `sphinx-mathjax-offline` holds MathJax 3.2.2 (Apache-2.0) as npm
publishes it. Used as an extension it would copy all of its 24 MB; the three
parts below are what a page can ask for, 2.1 MB.
"""

import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PARTS = ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2")


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    if exception:
        return
    wheel = distribution("sphinx-mathjax-offline")
    origin = Path(
        str(wheel.locate_file("sphinx-mathjax-offline/static/mathjax"))
    )
    for part in PARTS:
        target = Path(app.outdir, "_static", "mathjax", part)
        target.parent.mkdir(parents=True, exist_ok=True)
        if (origin / part).is_dir():
            shutil.copytree(origin / part, target, dirs_exist_ok=True)
        else:
            shutil.copy(origin / part, target)


def setup(app: Sphinx) -> dict[str, Any]:
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
