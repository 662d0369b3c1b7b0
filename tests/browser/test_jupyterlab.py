"""Chapters in JupyterLab, in a real browser: python -m pytest tests/browser/test_jupyterlab.py.

One has exercises, one a widget. Needs a Chromium (Debian: chromium; elsewhere `playwright install
chromium`).
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

TimeoutError = pytest.importorskip("playwright.sync_api").TimeoutError

BOOK = Path(__file__).parents[2] / "book"
RAW = re.compile(r"\{[a-z:]+\}`|```|:::|\$\$|\]\(")
"""What is left where MyST is not rendered."""
TEXTS = """() => [...document.querySelectorAll(".jp-MarkdownCell .myst")].map((cell) => {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll("code, pre, .katex").forEach((e) => e.remove());
    return copy.textContent;
})"""
RUN = """() => /\\d/.test(
    [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].at(-1).textContent
)"""
"""Whether the last cell has."""
OVERLAPS = """() => {
    const drawn = ".jp-Notebook .jp-OutputArea-output, .jp-Notebook .myst, .uninv dt, .uninv dd";
    const boxes = [...document.querySelectorAll(drawn)]
        .map((e) => [e, e.getBoundingClientRect()])
        .filter(([e, { height }]) => height && e.checkVisibility());
    const over = (p, q) => Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1
        && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 1;
    return boxes.flatMap(([a, p], i) => boxes.slice(i + 1)
        .filter(([b, q]) => over(p, q) && !a.contains(b) && !b.contains(a))
        .map(([b]) => [a.textContent.slice(0, 60), b.textContent.slice(0, 60)]));
}"""


@pytest.mark.long
@pytest.mark.parametrize(("chapter", "solutions"), [("01_threat_model", True), ("index", False)])
def test_chapter_runs_and_reads_in_jupyterlab(browser, jupyterlab, chapter, solutions):
    folder, address = jupyterlab
    for source in [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")]:
        shutil.copy(source, folder)
    tab = browser.new_page(viewport={"width": 1300, "height": 900})
    tab.set_default_timeout(180_000)  # the machine may be busy
    _run_all(tab, f"{address}lab/tree/{chapter}.ipynb?reset")
    if solutions:
        solution = tab.locator(".jp-MarkdownCell details").first
        solution.wait_for(state="attached")  # the exercises stand at the end
        assert not solution.get_attribute("open")
    else:
        tab.locator(".uninv svg, .uninv canvas").first.wait_for()

    assert tab.locator('[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts() == []
    texts = tab.evaluate(TEXTS)
    assert len(texts) == tab.locator(".jp-MarkdownCell").count() > 2
    assert [text[:200] for text in texts if RAW.search(text)] == []
    assert tab.evaluate(OVERLAPS) == []
    tab.close()


def _run_all(tab, address):
    """Asked again where nothing came: a kernel that has just come passes over what it is asked."""
    for seconds in (30, 90, 180):  # the machine may be busy
        tab.goto(address)
        tab.locator(".jp-Notebook .myst h1").wait_for()
        tab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        tab.get_by_role("menuitem", name="Run", exact=True).click()
        tab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with suppress(TimeoutError):
            tab.wait_for_function(RUN, timeout=seconds * 1000)
            return
    raise AssertionError(tab.locator(".jp-InputPrompt").all_inner_texts())
