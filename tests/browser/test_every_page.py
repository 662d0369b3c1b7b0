"""Every page of the built book in a real browser, with the network cut off: python -m pytest
tests/browser/test_every_page.py.

Needs what test_browser.py needs. Pictures of every page are left in _build/screenshots.
"""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from uninv_lib.book.build import toc_pages

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "_build" / "screenshots"
PAGES = [page.with_suffix(".html").as_posix() for page in toc_pages(ROOT)]
WIDTHS = {1280: "desktop", 390: "phone", 320: "small"}
BEGINS = """[...document.querySelectorAll("div.math")].every((box) =>
    box.querySelector("mjx-math").getBoundingClientRect().left
        >= box.getBoundingClientRect().left - 1)"""
"""An equation that is too wide shows its beginning."""
CUT = """() => {
    const shown = (e) => e.checkVisibility() && !e.closest(".uninv, mjx-container, script, style");
    const faults = [];
    for (const e of [...document.querySelectorAll(".cell_output, .cell_output *")].filter(shown)) {
        const style = getComputedStyle(e);
        const beyondX = e.clientWidth && e.scrollWidth > e.clientWidth + 1;
        const beyondY = e.clientHeight && e.scrollHeight > e.clientHeight + 1;
        const wide = beyondX && style.overflowX !== "visible";
        const high = beyondY && style.overflowY === "hidden";
        const told = style.overflowX === "auto" && style.maskImage !== "none" && e.tabIndex === 0;
        const cut = (wide && !told) || (high && !wide && !e.matches(".math"));
        if (cut) faults.push(e.outerHTML.slice(0, 150));
    }
    return faults;
}"""
"""Outputs with a part that nobody sees: too wide and neither fading out nor reached by keyboard, or
too high."""
FOLLOW = """async (id) => {
    location.hash = "#" + id;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const target = document.getElementById(id);
    if (!target) return "is not there";
    const { top, width, height } = target.getBoundingClientRect();
    const seen = target.checkVisibility({ visibilityProperty: true });
    if (!seen || !width || !height) return "is hidden";
    return top < -5 || top > innerHeight ? `is out of view, at ${top}` : "";
}"""
SHIFTS = """window.shifted = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries())
            if (!entry.hadRecentInput) window.shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("way", ["file", "server"])
def test_page_works_without_a_network(visit, served, page, way):
    tab = visit(page, served if way == "server" else None)
    tab.wait_for_timeout(500)  # for what scripts ask for late
    assert tab.context.faults == []


@pytest.mark.parametrize("page", PAGES)
def test_page_is_light_enough(html, page):
    """Its text, state and pictures; the front end that all pages share is weighed by itself."""
    text = (html / page).read_text()
    pictures = [f for f in (html / "_images").iterdir() if f.name in text]
    weight = (len(text.encode()) + sum(f.stat().st_size for f in pictures)) / 1e6
    print(f"{page}: {weight:.2f} MB")
    assert weight <= 1.5


def test_vendored_front_end_is_light_enough(html):
    weight = sum(f.stat().st_size for f in (html / "_static" / "mathjax").rglob("*") if f.is_file())
    weight += (html / "_static" / "widgets.js").stat().st_size
    print(f"vendored front end: {weight / 1e6:.2f} MB")
    assert weight <= 3e6


@pytest.mark.parametrize("page", PAGES)
def test_page_is_accessible_and_fits(visit, page):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab = visit(page, reduced_motion="reduce")
    for theme in ("light", "dark"):
        tab.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)
        for width, device in WIDTHS.items():
            tab.set_viewport_size({"width": width, "height": 900})
            tab.wait_for_timeout(500)  # the theme looks at its scrolling boxes a moment later
            name = f"{Path(page).stem}_{device}_{theme}.png"
            tab.screenshot(path=SCREENSHOTS / name, full_page=True)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.evaluate(CUT) == []
            assert tab.evaluate(BEGINS)
        found = axe.Axe().run(tab).response["violations"]
        serious = {
            v["id"]: [n["html"][:150] for n in v["nodes"][:3]]
            for v in found
            if v["impact"] in ("serious", "critical")
        }
        assert serious == {}, f"{theme}: {json.dumps(serious, indent=1)}"


def _targets(html, page):
    """What links of all pages name on this one."""
    name = re.escape(page.split("/")[-1])
    links = [
        re.findall(rf'href="(?:[^"#]*/)?{name}#([^"]+)"', (html / other).read_text())
        for other in PAGES
    ]
    here = re.findall(r'<a[^>]*href="#([^"]+)"', (html / page).read_text())
    return sorted({unquote(target) for target in [*here, *(one for some in links for one in some)]})


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_something_in_view(visit, html, page):
    tab = visit(page, reduced_motion="reduce")
    lost = {
        target: fault for target in _targets(html, page) if (fault := tab.evaluate(FOLLOW, target))
    }
    assert lost == {}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_page_stands_still_while_it_loads(visit, page, width):
    tab = visit(page, width=width, script=SHIFTS)
    tab.wait_for_timeout(1000)
    shifted = tab.evaluate("window.shifted")
    print(f"{page}, {width} px: layout shift {shifted:.3f}")
    assert shifted < 0.1


@pytest.mark.parametrize("way", ["file", "server"])
@pytest.mark.parametrize("page", ["book/01_threat_model.html", "book/reruns.html"])
def test_source_is_downloaded(visit, html, served, page, way):
    tab = visit(page, served if way == "server" else None)
    tab.get_by_role("button", name="Download this page").click()
    with tab.expect_download() as download:
        tab.locator(".btn-download-source-button").click()
    source = next((html / "_sources").glob(page.replace(".html", ".*")))
    assert download.value.suggested_filename == source.name
    kept = Path(download.value.path()).read_text()
    if source.suffix == ".md":
        assert kept == source.read_text()
    else:
        cells, same = (json.loads(text)["cells"] for text in (kept, source.read_text()))
        assert ["".join(cell["source"]) for cell in cells] == [
            "".join(cell["source"]) for cell in same
        ]
        assert not any(cell.get("outputs") for cell in cells)


def test_solutions_that_are_closed_stay_closed_on_paper(visit):
    tab = visit("book/01_threat_model.html")
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    solution = tab.locator(".admonition.dropdown").first
    assert solution.locator(".admonition-title").is_visible()
    assert not solution.locator("p:not(.admonition-title)").first.is_visible()
    said = "(b) => getComputedStyle(b, '::before').content"
    assert solution.locator(".toggle-button").evaluate(said) == '"in the online book"'


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_cut_on_paper(visit, page):
    tab = visit(page, width=700)  # A4 between its margins
    tab.emulate_media(media="print")
    cut = """() => [...document.querySelectorAll(".bd-article pre, .bd-article .cell_output")]
        .filter((e) => e.checkVisibility() && !e.matches(".uninv *"))
        .filter((e) => e.scrollWidth > e.clientWidth + 1)
        .map((e) => e.outerHTML.slice(0, 150))"""
    assert tab.evaluate(cut) == []
