"""Old addresses of pages lead somewhere: book/_ext/moved.py and `moved` in _config.yml."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from uninv_lib.book.build import toc_pages
from uninv_lib.book.verify import verify

ROOT = Path(__file__).parents[2]
FIRST_EDITION = {
    "03_feature_recovery",
    "04_label_inference",
    "05_exact_vs_approximate",
    "06_defenses",
}


@pytest.fixture
def moved() -> ModuleType:
    spec = importlib.util.spec_from_file_location("moved", ROOT / "book" / "_ext" / "moved.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(folder: Path, name: str, *anchors: str) -> Path:
    sections = "".join(f'<section id="{anchor}">Words.</section>' for anchor in anchors)
    text = f'<body><nav id="menu"></nav><article class="a">{sections}</article></body>'
    (folder / f"{name}.html").write_text(text)
    return folder / f"{name}.html"


def targets(text: str) -> dict[str, str]:
    found = re.search(r"const moved = (\{.*\});", text)
    assert found
    anchors: dict[str, str] = json.loads(found[1])
    return anchors


def test_an_old_address_leads_to_the_page_that_has_its_anchor(
    moved: ModuleType, tmp_path: Path
) -> None:
    pages = [page(tmp_path, "06_law", "fig-law", "id7"), page(tmp_path, "07_more", "fig-more")]
    moved.lead_on(tmp_path / "05_old.html", pages)
    text = (tmp_path / "05_old.html").read_text()
    assert targets(text) == {"fig-law": "06_law.html", "fig-more": "07_more.html"}
    assert '?? "06_law.html"' in text
    assert '<meta http-equiv="refresh" content="0; url=06_law.html">' in text
    assert '<a href="06_law.html">' in text
    verify(tmp_path, [])


def test_a_page_that_stays_sends_on_only_for_what_has_left_it(
    moved: ModuleType, tmp_path: Path
) -> None:
    pages = [page(tmp_path, "03_same", "fig-a", "top"), page(tmp_path, "04_new", "fig-b", "top")]
    moved.lead_on(pages[0], pages)
    text = pages[0].read_text()
    assert targets(text) == {"fig-b": "04_new.html"}
    assert "?? null" in text
    assert text.startswith("<body><nav")


def test_every_page_of_the_first_edition_has_an_address() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    listed = config["sphinx"]["config"]["moved"]
    there = {page.with_suffix("").as_posix() for page in toc_pages(ROOT)}
    assert {f"book/{name}" for name in FIRST_EDITION} == set(listed)
    assert {page for pages in listed.values() for page in pages} <= there
