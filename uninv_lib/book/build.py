"""Make the book: execute what changed, render aside, verify, and only then replace the old book.

A chapter is executed with papermill and kept with the hash of all it depends on: its own text and
parameters, the library, the recorded results, the installed packages. Until the new book has passed
every check, the old one stands untouched in `_build/html`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from uninv_lib.support.code import code_of_cells, code_of_source
from uninv_lib.support.extras import needs
from uninv_lib.support.files import whole
from uninv_lib.support.provenance import versions

with needs("book"):
    from filelock import FileLock, Timeout
    from papermill.exceptions import strip_color
    from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml

    from uninv_lib.book.execute import BookError, Executed, cells_of, execute, say
    from uninv_lib.book.verify import verify

CONFIG, TOC, PAGES, LIBRARY, RESULTS = "_config.yml", "_toc.yml", "book", "uninv_lib", "results"
# What a chapter shows depends on these; the embedded data come with scikit-learn and scikit-image.
COMPUTING = (
    "torch",
    "torchvision",
    "torchmetrics",
    "numpy",
    "scipy",
    "scikit-image",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "seaborn",
    "anywidget",
)
RENDERING = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "sphinx-mathjax-offline")


def build(root: Path, *, jobs: int = 1) -> Path:
    """Build the book of the project in `root`, `jobs` chapters at a time; returns its
    index.html.
    """
    if jobs < 1:
        raise BookError(f"jobs is {jobs}; allowed: a whole number from 1")
    out = root.resolve() / "_build"
    out.mkdir(exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            return _build(out.parent, out, jobs)
    except Timeout:
        raise BookError(f"another build is at work in {out}: wait for it to end") from None


def _build(root: Path, out: Path, jobs: int) -> Path:
    html, stamp = out / "html", out / "stamp.json"
    _recover(html)
    pages = toc_pages(root)
    inputs = book_key(root)
    if _read_json(stamp) == {"inputs": inputs, "html": _digest(html, [html])}:
        say("nothing changed: the book stands")
    else:
        executed = _execute_all(
            root, out, [page for page in pages if page.suffix == ".ipynb"], jobs
        )
        say("rendering and verifying the pages")
        aside = _render(root, out, executed)
        _lighten(aside)
        verify(aside, pages)
        _swap(aside, html)
        _write(stamp, json.dumps({"inputs": inputs, "html": _digest(html, [html])}))
    say(f"the book: {html / 'index.html'}")
    return html / "index.html"


def toc_pages(root: Path) -> list[Path]:
    """The pages of `_toc.yml`, relative to `root`, in the order of the book."""
    try:
        names = list(parse_toc_yaml(root / TOC))
    except (OSError, MalformedError) as error:
        raise BookError(f"{TOC}: {error}") from error
    return [_page(root, name) for name in names]


def _page(root: Path, name: str) -> Path:
    stem = re.sub(r"\.(ipynb|md)$", "", name)
    for page in (Path(f"{stem}.ipynb"), Path(f"{stem}.md")):
        if page.parts[0] == PAGES and (root / page).is_file():
            return page
    raise BookError(f"{TOC} lists {name}; allowed: an .ipynb or .md file that exists in {PAGES}/")


def chapter_key(root: Path, chapter: Path) -> str:
    """Everything the execution of a chapter depends on, as one hash: its own text, the code that it
    imports, the recorded results, the installed packages.
    """
    source = code_of_cells(cells_of(root, chapter))
    code = code_of_source(source, library=root / LIBRARY)
    inputs = [root / chapter, root / RESULTS]
    return _digest(root, inputs, json.dumps([code, versions(COMPUTING)]))


def book_key(root: Path) -> str:
    """Everything the pages depend on, as one hash."""
    inputs = [root / name for name in (CONFIG, TOC, PAGES, LIBRARY, RESULTS)]
    return _digest(root, inputs, json.dumps(versions(COMPUTING + RENDERING)))


def _digest(base: Path, paths: Iterable[Path], extra: str = "") -> str:
    sha = hashlib.sha256(extra.encode())
    for file in sorted(file for path in paths for file in _files(path)):
        content = file.read_bytes()
        sha.update(f"{file.relative_to(base).as_posix()}\0{len(content)}\0".encode() + content)
    return sha.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    for file in [path] if path.is_file() else path.rglob("*"):
        parts = file.relative_to(path.parent).parts
        if file.is_file() and not any(
            part.startswith(".") or part == "__pycache__" for part in parts
        ):
            yield file


def _execute_all(root: Path, out: Path, chapters: list[Path], jobs: int) -> dict[Path, Executed]:
    caches = {chapter: out / "executed" / f"{chapter.stem}.json" for chapter in chapters}
    done = {c: kept for c in chapters if (kept := _cached(caches[c], chapter_key(root, c)))}
    stale = [chapter for chapter in chapters if chapter not in done]
    if jobs > 1:  # no long one is left to the end
        stale.sort(key=lambda c: -(root / c).stat().st_size)
    say(f"{len(chapters)} chapters, {len(stale)} to execute")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    cells = [
        cell for chapter in stale for cell in cells_of(root, chapter) if cell["cell_type"] == "code"
    ]
    with (
        tqdm(total=len(cells), unit="cell", disable=not stale) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):

        def run(chapter: Path) -> Executed:
            bar.set_description(chapter.stem)
            fresh = execute(root, chapter, threads, key=chapter_key(root, chapter), tick=bar.update)
            say(f"{chapter}: {fresh.seconds} s, peak memory {fresh.peak_mb} MB")
            if fresh.key == chapter_key(root, chapter):  # nothing was edited meanwhile
                _write(caches[chapter], json.dumps(asdict(fresh)))
            return fresh

        each = (
            map if jobs == 1 else pool.map
        )  # in the main thread Ctrl-C ends the running chapter at once
        done.update(zip(stale, each(run, stale), strict=True))
    costs = {str(c): {"seconds": done[c].seconds, "peak_mb": done[c].peak_mb} for c in chapters}
    _write(out / "timings.json", json.dumps(costs, indent=2) + "\n")
    return done


def _cached(cache: Path, key: str) -> Executed | None:
    """The kept execution, unless it is torn or of something else."""
    try:
        kept = Executed(**_read_json(cache))
    except TypeError:
        return None
    return kept if kept.key == key else None


def _render(root: Path, out: Path, executed: dict[Path, Executed]) -> Path:
    """Run Jupyter Book on a copy that holds the executed chapters; returns the folder of the
    pages.
    """
    source, aside = out / "source", out / "aside"
    for folder in (source, aside):
        shutil.rmtree(folder, ignore_errors=True)
    unwanted = shutil.ignore_patterns("*.ipynb", ".*", "__pycache__")
    for name in (PAGES, LIBRARY):
        shutil.copytree(root / name, source / name, ignore=unwanted)
    for name in (CONFIG, TOC):
        shutil.copy(root / name, source)
    for chapter, done in executed.items():
        (source / chapter).write_text(done.notebook, encoding="utf-8")
    program = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["--path-output", str(aside), "-W", "-n", "--keep-going", "-q"]
    result = subprocess.run(
        [*program, "build", str(source), *options], capture_output=True, text=True
    )
    if result.returncode:
        said = strip_color(result.stderr or result.stdout).replace(f"{source}{os.sep}", "").strip()
        raise BookError(f"Jupyter Book failed:\n{said}")
    return aside / "_build" / "html"


def _lighten(pages: Path) -> None:
    """Figures as lossless WebP: a third of what they weigh as PNG, to the last pixel the same."""
    for figure in (pages / "_images").glob("*.png"):
        with Image.open(figure) as image:
            image.save(figure.with_suffix(".webp"), lossless=True)
        figure.unlink()
    for page in pages.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"(_images/[\w-]+)\.png", r"\1.webp", text), encoding="utf-8")


def _swap(aside: Path, html: Path) -> None:
    old = html.with_suffix(".old")
    if html.exists():
        html.rename(old)
    aside.rename(html)
    shutil.rmtree(old, ignore_errors=True)


def _recover(html: Path) -> None:
    """Bring back the old book where a build was killed between the two renames of a swap."""
    old = html.with_suffix(".old")
    if old.exists() and not html.exists():
        old.rename(html)
    shutil.rmtree(old, ignore_errors=True)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8")
