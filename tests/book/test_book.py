"""The build of the book, tried on a book of two small chapters."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from uninv_lib.book import build as book

PROJECT = Path(__file__).parents[2]
EXECUTE, RENDER = book.execute, book._render
TOC = """\
format: jb-book
root: book/index
chapters:
  - file: book/01_first
  - file: book/02_second
"""


def write_chapter(root: Path, name: str, code: str) -> None:
    cells = [
        nbformat.v4.new_markdown_cell(f"# Chapter {name}\n\nA formula: $x^2$.", id="prose"),
        nbformat.v4.new_code_cell(code, id="code"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "book" / f"{name}.ipynb")


def write_project(root: Path) -> None:
    for name in ("_static", "_ext"):
        shutil.copytree(PROJECT / "book" / name, root / "book" / name)
    for name in ("uninv_lib", "results"):
        (root / name).mkdir()
    shutil.copy(PROJECT / "_config.yml", root)
    (root / "_toc.yml").write_text(TOC)
    (root / "uninv_lib" / "__init__.py").touch()
    (root / "uninv_lib" / "tool.py").write_text("two = 2\n")
    (root / "results" / "run.json").write_text("{}\n")
    (root / "book" / "references.bib").write_text("")
    (root / "book" / "index.md").write_text("# A small book\n\nWords.\n")
    write_chapter(root, "01_first", "print('first')")
    shows = (
        "from IPython.display import Markdown\nMarkdown('A computed sentence of {doc}`01_first`.')"
    )
    write_chapter(
        root,
        "02_second",
        f"import os\nimport uninv_lib.tool\nprint('kernel', os.environ['TQDM_DISABLE'])\n{shows}",
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in miniature, really built, and built again after a change in its first chapter."""
    root = tmp_path_factory.mktemp("built")
    write_project(root)
    book.build(root)
    write_chapter(
        root, "01_first", "import sys\nprint('no' + 'ise', file=sys.stderr)\nprint(6 * 7)"
    )
    book.build(root)
    return root


@pytest.fixture
def executed() -> list[str]:
    """The names of the chapters that were executed."""
    return []


@pytest.fixture
def root(tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a book, made quickly: chapters run without a kernel, pages are made without
    Sphinx.
    """

    def execute(root: Path, chapter: Path, *_: object, **__: object) -> book.Executed:
        executed.append(chapter.stem)
        return book.Executed(book.chapter_key(root, chapter), 0.0, 0, (root / chapter).read_text())

    def render(root: Path, out: Path, done: dict[Path, book.Executed]) -> Path:
        (out / "aside" / "book").mkdir(parents=True)
        (out / "aside" / "index.html").write_text("home")
        for page in book.toc_pages(root):
            text = done[page].notebook if page in done else (root / page).read_text()
            (out / "aside" / page.with_suffix(".html")).write_text(f"<article>{text}</article>")
        return out / "aside"

    monkeypatch.setattr(book, "execute", execute)
    monkeypatch.setattr(book, "_render", render)
    write_project(tmp_path)
    book.build(tmp_path)
    executed.clear()
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.slow
def test_build_makes_every_page_and_says_what_it_took(built: Path) -> None:
    html = built / "_build" / "html"
    assert (html / "index.html").exists()
    assert "42" in (html / "book" / "01_first.html").read_text()
    assert "noise" not in (html / "book" / "01_first.html").read_text()
    assert "kernel 1" in (html / "book" / "02_second.html").read_text()
    timings = json.loads((built / "_build" / "timings.json").read_text())
    assert list(timings) == ["book/01_first.ipynb", "book/02_second.ipynb"]
    assert all(cost["seconds"] > 0 and 20 < cost["peak_mb"] < 2000 for cost in timings.values())


@pytest.mark.slow
def test_a_computed_sentence_may_hold_roles(built: Path) -> None:
    page = (built / "_build" / "html" / "book" / "02_second.html").read_text()
    assert 'A computed sentence of <a class="reference internal" href="01_first.html">' in page


@pytest.mark.slow
def test_the_book_holds_no_path_of_this_machine(built: Path) -> None:
    pages = [*built.glob("_build/html/**/*.html"), *built.glob("_build/html/_sources/**/*")]
    assert not [page for page in pages if page.is_file() and str(built) in page.read_text()]


def test_unchanged_book_is_left_alone(root: Path, executed: list[str]) -> None:
    before = (root / "_build" / "html" / "index.html").stat().st_mtime_ns
    assert book.build(root) == root / "_build" / "html" / "index.html"
    assert executed == []
    assert (root / "_build" / "html" / "index.html").stat().st_mtime_ns == before


def test_damaged_book_is_rendered_again_without_execution(root: Path, executed: list[str]) -> None:
    page = root / "_build" / "html" / "book" / "01_first.html"
    whole = page.read_bytes()
    page.write_bytes(whole[:20])
    book.build(root)
    assert executed == []
    assert page.read_bytes() == whole


def change_chapter(root: Path) -> None:
    write_chapter(root, "02_second", "print('changed')")


def change_library(root: Path) -> None:
    (root / "uninv_lib" / "tool.py").write_text("two = 3\n")


def change_what_no_chapter_imports(root: Path) -> None:
    (root / "uninv_lib" / "other.py").write_text("two = 3\n")


def change_results(root: Path) -> None:
    (root / "results" / "run.json").write_text('{"psnr": 20}\n')


def tear_cache(root: Path) -> None:
    cache = root / "_build" / "executed" / "01_first.json"
    cache.write_bytes(cache.read_bytes()[:-100])
    (root / "_build" / "stamp.json").unlink()


def replace_cache(root: Path) -> None:
    (root / "_build" / "executed" / "01_first.json").write_text('{"from": "another program"}')
    (root / "_build" / "stamp.json").unlink()


def change_page(root: Path) -> None:
    (root / "book" / "index.md").write_text("# A small book\n\nOther words.\n")


BOTH = ["01_first", "02_second"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_chapter, ["02_second"]),
        (change_library, ["02_second"]),
        (change_what_no_chapter_imports, []),
        (change_results, BOTH),
        (tear_cache, ["01_first"]),
        (replace_cache, ["01_first"]),
        (change_page, []),
    ],
)
def test_only_what_changed_is_executed(
    root: Path, executed: list[str], change: Callable[[Path], None], expected: list[str]
) -> None:
    change(root)
    book.build(root)
    assert executed == expected
    executed.clear()
    book.build(root)
    assert executed == []


def test_new_version_of_a_package_executes_all(
    root: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "versions", lambda packages: dict.fromkeys(packages, "99"))
    book.build(root)
    assert executed == BOTH


def test_failing_cell_names_itself_and_leaves_the_old_book(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "execute", EXECUTE)
    before = snapshot(root / "_build" / "html")
    write_chapter(root, "01_first", "print('fine')")
    write_chapter(root, "02_second", "people = {}\npeople['Ada']")
    with pytest.raises(
        book.BookError, match=r"02_second\.ipynb: cell 2 \(id code\)(.|\n)*KeyError: 'Ada'"
    ):
        book.build(root)
    assert snapshot(root / "_build" / "html") == before
    first = json.loads((root / "_build" / "executed" / "01_first.json").read_text())
    assert "fine" in first["notebook"], "a chapter that finished is kept"


def test_dying_kernel_names_its_cell(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "execute", EXECUTE)
    write_chapter(root, "01_first", "import os\nos._exit(1)")
    with pytest.raises(book.BookError, match=r"01_first\.ipynb: cell 2 \(id code\) failed"):
        book.build(root)


@pytest.mark.slow
def test_warning_of_sphinx_leaves_the_old_book(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "_render", RENDER)
    before = snapshot(root / "_build" / "html")
    (root / "book" / "index.md").write_text("# A small book\n\nSee {ref}`nowhere`.\n")
    with pytest.raises(book.BookError, match=r"book/index\.md:.*nowhere"):
        book.build(root)
    assert snapshot(root / "_build" / "html") == before


def test_chapters_run_side_by_side(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "execute", EXECUTE)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    code = "import os\nimport uninv_lib.tool\nprint('threads', os.environ['OMP_NUM_THREADS'])"
    write_chapter(root, "01_first", code)
    write_chapter(root, "02_second", code)
    chapters = [Path("book/01_first.ipynb"), Path("book/02_second.ipynb")]
    done = book._execute_all(root, root / "_build", chapters, jobs=2)
    share = max(1, (os.cpu_count() or 1) // 2)
    assert all(f"threads {share}" in done[chapter].notebook for chapter in chapters)


VIEW = '<script type="application/vnd.jupyter.widget-view+json">{"model_id": "a"}</script>'
PAGE = "<html><article><p>Words</p>{}</article></html>"


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        (
            "book/index.html",
            PAGE.format('<script src="https://x.org/a.js"></script>'),
            "loads https://x.org/a.js",
        ),
        (
            "book/index.html",
            PAGE.format('<img alt="a" src="//x.org/a.png">'),
            "loads //x.org/a.png",
        ),
        (
            "book/index.html",
            PAGE.format("<style>@import 'https://x.org/a.css'</style>"),
            "https://x.org/a.css",
        ),
        (
            "_static/a.css",
            "@font-face {src: url(https://x.org/a.woff)}",
            "loads https://x.org/a.woff",
        ),
        (
            "book/index.html",
            PAGE.format('<link rel="stylesheet" href="gone.css?v=1">'),
            "which is not there",
        ),
        ("book/index.html", PAGE.format('<div class="output traceback">'), "a cell shows an error"),
        (
            "book/index.html",
            PAGE.format('<img alt="../_images/a.png" src="index.html">'),
            "no alt text",
        ),
        (
            "book/index.html",
            "<html><article> <script>x</script></article></html>",
            "missing or empty",
        ),
        (
            "book/index.html",
            PAGE.format('<script>fetch("https://x.org/a")</script>'),
            "a script refers to x.org",
        ),
        (
            "book/index.html",
            PAGE.format('<div class="cell tag_widget docutils">'),
            "1 cells should show a widget, 0 do",
        ),
        ("book/index.html", PAGE.format(VIEW), "the widget a has no state"),
        (
            "book/index.html",
            PAGE.format(
                '<script type="application/vnd.jupyter.widget-state+json">'
                '{"state": {"a": {"state": {"psnr": NaN}}}}</script>'
            ),
            "a widget's state holds NaN",
        ),
    ],
)
def test_verify_names_what_is_wrong(tmp_path: Path, file: str, text: str, fault: str) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "book" / "index.html").write_text(PAGE.format(""))
    (tmp_path / file).write_text(text)
    with pytest.raises(book.BookError, match=fault):
        book.verify(tmp_path, [Path("book/index.md")])


def test_verify_lets_links_and_local_files_pass(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "a.png").touch()
    good = '<a href="https://x.org">x</a><img src="../a.png?v=1">'
    good += '<img src="data:image/png;base64,//A=">'
    (tmp_path / "book" / "index.html").write_text(PAGE.format(good))
    book.verify(tmp_path, [Path("book/index.md")])


def test_page_that_does_not_exist_is_named(root: Path) -> None:
    (root / "_toc.yml").write_text(TOC + "  - file: book/03_third\n")
    with pytest.raises(book.BookError, match=r"lists book/03_third; allowed: "):
        book.build(root)


def test_killed_swap_is_mended(root: Path, executed: list[str]) -> None:
    (root / "_build" / "html").rename(root / "_build" / "html.old")
    book.build(root)
    assert executed == []
    assert (root / "_build" / "html" / "index.html").exists()


def test_jobs_must_be_positive(root: Path) -> None:
    with pytest.raises(book.BookError, match="jobs is 0; allowed"):
        book.build(root, jobs=0)
