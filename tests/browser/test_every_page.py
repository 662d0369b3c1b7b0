"""Every page of the built book in a real browser, with the network cut off: python -m pytest
tests/browser/test_every_page.py.

Needs what test_browser.py needs. With UNINV_SCREENSHOTS=1 pictures of every page are left in
_build/screenshots.
"""

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from uninv_lib.book.build import toc_pages

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "_build" / "screenshots"
PAGES = [page.with_suffix(".html").as_posix() for page in toc_pages(ROOT)]
SHORT = ("index", "01_threat_model", "glossary", "reruns")
EACH = [
    page if Path(page).stem in SHORT else pytest.param(page, marks=pytest.mark.long)
    for page in PAGES
]
LIGHT, DARK = "light", "dark"
WIDTHS = {1280: "desktop", 390: "phone", 320: "small"}
MISFITS = """() => {
    const faults = [];
    const beyond = document.documentElement.scrollWidth - innerWidth;
    if (beyond > 0) faults.push(`the page is ${beyond} pixels too wide`);
    for (const box of document.querySelectorAll("div.math")) {
        const { left } = box.querySelector("mjx-math").getBoundingClientRect();
        if (left < box.getBoundingClientRect().left - 1) faults.push("an equation hides its start");
    }
    const shown = (e) => e.checkVisibility() && !e.closest(".uninv, mjx-container, script, style");
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
"""What does not fit the window: outputs with a part that nobody sees, too wide and neither fading
out nor reached by keyboard, or too high; and equations without their beginning."""
ALIKE = """() => {
    const kinds = new Map([[document.body, ""]]), seen = new Set(), first = new Set();
    const all = [...document.querySelectorAll("body *")];
    for (const e of all) {
        const known = ["class", "style", "role", "disabled"].map((name) => e.getAttribute(name));
        const kind = [kinds.get(e.parentElement), e.tagName, ...known].join(" ");
        kinds.set(e, kind);
        if (seen.has(kind) || !e.checkVisibility({ visibilityProperty: true })) continue;
        seen.add(kind);
        for (let a = e; a && !first.has(a); a = a.parentElement) first.add(a);
    }
    for (const e of all) if (!first.has(e)) e.style.visibility = "hidden";
}"""
"""Shows one element of each kind, and what it stands in, for axe weighs the contrast of every
one."""
FOLLOW = """async (ids) => {
    const follow = async (id, wait) => {
        location.hash = "";  // what stands there already is not gone to again
        location.hash = "#" + id;
        await new Promise((done) => setTimeout(done, wait));
        const target = document.getElementById(id);
        if (!target) return "is not there";
        const { top, width, height } = target.getBoundingClientRect();
        const seen = target.checkVisibility({ visibilityProperty: true });
        if (!seen || !width || !height) return "is hidden";
        return top < -5 || top > innerHeight ? `is out of view, at ${top}` : "";
    };
    const lost = {};
    for (const id of ids) {
        let fault = "";
        for (const wait of [0, 0, 100, 500]) if (!(fault = await follow(id, wait))) break;
        if (fault) lost[id] = fault;
    }
    return lost;
}"""
CUT_ON_PAPER = """() =>
    [...document.querySelectorAll(".bd-article pre, .bd-article .cell_output")]
        .filter((e) => e.checkVisibility() && !e.matches(".uninv *"))
        .filter((e) => e.scrollWidth > e.clientWidth + 1)
        .map((e) => e.outerHTML.slice(0, 150))"""
SHIFTS = """window.shifted = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries())
            if (!entry.hadRecentInput) window.shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("page", EACH)
def test_page_on_a_server_works_without_a_network_and_stands_still_while_it_loads(
    visit, served, page
):
    _loaded_well(visit(page, served, width=1280, script=SHIFTS))


def _loaded_well(tab):
    asked = -1
    while asked != tab.context.asked:  # for what scripts ask for late
        asked = tab.context.asked
        tab.wait_for_timeout(500)
    assert tab.context.faults == []
    shifted = tab.evaluate("window.shifted")
    print(f"{tab.url}: layout shift {shifted:.3f}")
    assert shifted < 0.1


@pytest.mark.parametrize("page", PAGES)
def test_page_is_light_enough(html, page):
    """Its text, state and pictures; the front end that all pages share is weighed by itself."""
    text = (html / page).read_text()
    pictures = [f for f in (html / "_images").iterdir() if f.name in text]
    weight = (len(text.encode()) + sum(f.stat().st_size for f in pictures)) / 1e6
    print(f"{page}: {weight:.2f} MB")
    assert weight <= 1.2


def test_vendored_front_end_is_light_enough(html):
    weight = sum(f.stat().st_size for f in (html / "_static" / "mathjax").rglob("*") if f.is_file())
    weight += (html / "_static" / "widgets.js").stat().st_size
    print(f"vendored front end: {weight / 1e6:.2f} MB")
    assert weight <= 3e6


@pytest.mark.parametrize("page", EACH)
def test_file_loads_fits_screens_and_paper_is_accessible_and_links_lead_to_something_in_view(
    visit, html, page
):
    tab = visit(page, reduced_motion="reduce", width=390, script=SHIFTS)
    _loaded_well(tab)
    for theme in (LIGHT, DARK):
        _put_on(tab, theme)
        for width, device in WIDTHS.items():
            tab.set_viewport_size({"width": width, "height": 900})
            misfits = _settled_misfits(tab)
            if os.environ.get("UNINV_SCREENSHOTS"):
                name = f"{Path(page).stem}_{device}_{theme}.png"
                tab.screenshot(path=SCREENSHOTS / name, full_page=True)
            assert misfits == [], f"{theme}, {width} px"
    tab.set_viewport_size({"width": 1200, "height": 900})
    assert tab.evaluate(FOLLOW, _targets(html, page)) == {}
    tab.set_viewport_size({"width": 700, "height": 900})  # A4 between its margins
    tab.emulate_media(media="print")
    assert tab.evaluate(CUT_ON_PAPER) == []
    tab.emulate_media(media="screen")
    tab.set_viewport_size({"width": 320, "height": 900})
    tab.wait_for_timeout(500)  # the theme looks at its scrolling boxes a moment later
    _put_on(tab, LIGHT)
    assert _serious(tab, {"rules": {"color-contrast": {"enabled": False}}}) == {}
    tab.evaluate(ALIKE)
    for theme in (LIGHT, DARK):
        _put_on(tab, theme)
        assert _serious(tab, {"runOnly": ["color-contrast"]}) == {}, theme


def _put_on(tab, theme):
    tab.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)


def _settled_misfits(tab):
    """None, or those that are left when the theme has looked at its scrolling boxes."""
    for _ in range(30):
        if not (found := tab.evaluate(MISFITS)):
            break
        tab.wait_for_timeout(100)
    return found


def _serious(tab, rules):
    """What keeps a reader out, by axe's rules, all or those that are named."""
    options = {"resultTypes": ["violations", "incomplete"], **rules}
    report = axe.Axe().run(tab, options=options).response
    assert [rule["error"]["message"] for rule in report["incomplete"] if "error" in rule] == []
    found = report["violations"]
    return {
        v["id"]: [n["html"][:150] for n in v["nodes"][:3]]
        for v in found
        if v["impact"] in ("serious", "critical")
    }


@lru_cache
def _links(html):
    """(the page's own file or another's name, what is named on it) of every link of the book."""
    text = {page: (html / page).read_text() for page in PAGES}
    return {
        (name.split("/")[-1] or page.split("/")[-1], unquote(target))
        for page in PAGES
        for name, target in re.findall(r'href="([^"#:]*)#([^"]+)"', text[page])
    }


def _targets(html, page):
    """What links of all pages name on this one."""
    return sorted(target for name, target in _links(html) if name == page.split("/")[-1])


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
