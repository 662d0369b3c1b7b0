"""How a chapter is written: the rules of WRITING.md that a machine can check."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest
from papermill import inspect_notebook

CHAPTERS = sorted(Path(__file__).parents[2].glob("book/[0-9]*.ipynb"))
MOST_LINES = 25
MOST_ASSERTING = 1 / 3
FOLDED = {"parameters", "hide-input", "hide-cell", "remove-input", "remove-cell"}
ASSERTS = re.compile(r"(?:above|below|check|asserted|not_testable|verdict\w*)$")
WORDS_PER_LINE = 8
DRAWS = re.compile(r"\b(?:figures|plt|sns)\.\w|\.(?:imshow|plot|bar|hist|scatter)\(")
NOT_PROSE = re.compile(
    r"```(?:python|bash|text)\n.*?```|\$\$.*?\$\$|\$[^$\n]+\$|^#[^\n]*", re.DOTALL | re.MULTILINE
)
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def cells(chapter: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(chapter, 4).cells if cell.cell_type == kind]


def tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def lines_of_code(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())


def words_of_prose(source: str) -> int:
    return len(WORD.findall(NOT_PROSE.sub("", source)))


@each_chapter
def test_notebook_is_valid_and_its_cells_have_ids(chapter: Path) -> None:
    notebook = nbformat.read(chapter, nbformat.NO_CONVERT)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    nbformat.validate(notebook)
    repeated = [
        name for name, count in Counter(cell.id for cell in notebook.cells).items() if count > 1
    ]
    assert not repeated


@each_chapter
def test_no_outputs_are_kept(chapter: Path) -> None:
    ran = [
        cell.id
        for cell in cells(chapter, "code")
        if cell.outputs or cell.execution_count is not None
    ]
    assert not ran, "clear the outputs before you commit"


@each_chapter
def test_parameters_are_one_cell_of_annotated_assignments(chapter: Path) -> None:
    tagged = [cell for cell in cells(chapter, "code") if "parameters" in tags(cell)]
    assert len(tagged) == 1
    statements = ast.parse(tagged[0].source).body
    wrong = [
        ast.unparse(node)
        for node in statements
        if not (isinstance(node, ast.AnnAssign) and node.value)
    ]
    assert statements
    assert not wrong, "each line reads `name: type = value`"


@each_chapter
def test_help_of_papermill_shows_type_and_comment_of_each_parameter(chapter: Path) -> None:
    tagged = next(cell for cell in cells(chapter, "code") if "parameters" in tags(cell))
    shown = inspect_notebook(chapter)
    assert list(shown) == [node.target.id for node in ast.parse(tagged.source).body]
    assert [
        name
        for name, said in shown.items()
        if said["inferred_type_name"] == "None" or not said["help"]
    ] == []


NAMED = {"dataset": "private_size", "defense": "strength", "dtype": "device"}
"""What may not fit what a reader chooses -> the parameter that its error names."""


@each_chapter
def test_what_an_error_names_is_a_parameter(chapter: Path) -> None:
    found = inspect_notebook(str(chapter)).keys()
    fixed = " ".join(cell.source for cell in cells(chapter, "code"))
    for choice, named in NAMED.items():
        assert choice not in found or named in found or f'{named}="' in fixed, named
    assert "unlearning_rate" in found or 'unlearning="retrain"' in fixed


@each_chapter
def test_parameters_are_checked_at_once_and_records_saved_last(chapter: Path) -> None:
    code = cells(chapter, "code")
    parameters = next(i for i, cell in enumerate(code) if "parameters" in tags(cell))
    checks = [i for i, cell in enumerate(code) if "spec_of(globals()" in cell.source]
    saves = [i for i, cell in enumerate(code) if "save_records(globals(), " in cell.source]
    assert len(checks) == len(saves) == 1
    assert checks[0] - parameters <= 2
    assert all("hide-cell" in tags(cell) for cell in code[saves[0] + 1 :]), (
        "only solutions come after"
    )


@each_chapter
def test_the_library_is_imported_before_torch(chapter: Path) -> None:
    """For it sets how torch's threads wait, which torch reads once; `ruff check --fix` sorts so."""
    nodes = [
        node
        for cell in cells(chapter, "code")
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    names = [
        name.split(".")[0]
        for node in nodes
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    ]
    assert "torch" not in names[: names.index("uninv_lib")]


@each_chapter
def test_code_cells_are_short(chapter: Path) -> None:
    lengths = {cell.id: len(cell.source.splitlines()) for cell in cells(chapter, "code")}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def asserts(tree: ast.AST) -> bool:
    """Whether code asserts: `assert`, or a call of a function that states a claim or checks one."""
    called = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(node, ast.Assert) for node in ast.walk(tree)) or any(
        ASSERTS.search(name) for name in called
    )


def names_in(tree: ast.Module, context: type[ast.expr_context]) -> set[str]:
    """The names that code stores or loads; those of its functions and imports are stored."""
    found = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }
    made = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.Import, ast.ImportFrom))]
    if context is ast.Load:
        return found
    return found | {
        alias.asname or alias.name
        for node in made
        for alias in (getattr(node, "names", None) or [ast.alias(node.name)])
    }


def asserting_share(sources: list[tuple[str, bool]]) -> float:
    """The share of the visible lines of code whose purpose is to assert, of cells (source, folded).

    A cell counts whole if anything in it asserts, and also if it shows nothing of its own and what
    it makes is read by such cells alone: what prepares a claim is part of it.
    """
    trees = [ast.parse(source) for source, _ in sources]
    counts = [asserts(tree) for tree in trees]
    for i, tree in reversed(list(enumerate(trees))):
        made = names_in(tree, ast.Store)
        readers = [j for j in range(i + 1, len(trees)) if names_in(trees[j], ast.Load) & made]
        silent = not isinstance(tree.body[-1], ast.Expr)
        counts[i] |= silent and bool(readers) and all(counts[j] for j in readers)
    visible = [
        (lines_of_code(source), count)
        for (source, folded), count in zip(sources, counts, strict=True)
        if not folded
    ]
    return sum(lines for lines, count in visible if count) / sum(lines for lines, _ in visible)


@each_chapter
def test_at_most_a_third_of_the_visible_code_asserts(chapter: Path) -> None:
    share = asserting_share(
        [(cell.source, bool(FOLDED & {*tags(cell)})) for cell in cells(chapter, "code")]
    )
    assert share <= MOST_ASSERTING, f"{share:.0%}: fold what prepares a claim, or say it shorter"


@each_chapter
def test_no_chapter_asserts_bare(chapter: Path) -> None:
    bare = [
        cell.id
        for cell in cells(chapter, "code")
        if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))
    ]
    assert not bare, "claims.check says what is asserted"


def test_what_prepares_a_claim_counts_with_it_and_what_is_folded_does_not() -> None:
    cells = ["a = 1\nb = 2", "c = a", "claims.above(c, 0, '')", "print(b)", "assert b"]
    assert asserting_share([(source, False) for source in cells]) == 3 / 6
    assert asserting_share([(source, source == "c = a") for source in cells]) == 2 / 5


@each_chapter
def test_prose_outweighs_code(chapter: Path) -> None:
    code = sum(lines_of_code(cell.source) for cell in cells(chapter, "code"))
    words = sum(words_of_prose(cell.source) for cell in cells(chapter, "markdown"))
    assert words >= WORDS_PER_LINE * code, f"{words} words for {code} lines of code"


@each_chapter
def test_figures_have_name_caption_and_alt_text(chapter: Path) -> None:
    incomplete = []
    for cell in cells(chapter, "code"):
        rendering = cell.metadata.get("mystnb", {})
        figure, image = rendering.get("figure", {}), rendering.get("image", {})
        named = str(figure.get("name", "")).startswith("fig-")
        if (DRAWS.search(cell.source) or rendering) and not (
            named and figure.get("caption") and image.get("alt")
        ):
            incomplete.append(cell.id)
    assert not incomplete, (
        'metadata: {"mystnb": {"figure": {"name": "fig-…", "caption": …}, "image": {"alt": …}}}'
    )


@each_chapter
def test_chapter_begins_with_a_title_and_ends_with_references(chapter: Path) -> None:
    notebook = nbformat.read(chapter, 4)
    first, last = notebook.cells[0], notebook.cells[-1]
    assert re.match(r"(\([\w-]+\)=\n)?# \S", first.source), "the first cell is the title"
    assert re.match(r"## References\n", last.source), "the last cell is the references"
    assert "{cite" in last.source


def test_what_the_prose_links_to_is_there() -> None:
    """Checked here, before any cell runs: the build finds it out after all of them have."""
    pages = sorted(Path(__file__).parents[2].glob("book/*.ipynb"))
    texts = {p.name: "\n".join(c.source for c in cells(p, "markdown")) for p in pages}
    labels = set(re.findall(r"^\(([\w-]+)\)=$", "\n".join(texts.values()), re.MULTILINE))
    dead = {
        f"{name}: {target}"
        for name, text in texts.items()
        for target in re.findall(r"\]\(#([\w-]+)\)", text)
        if target not in labels
    }
    assert not dead, f"no label among {sorted(labels)}"


def test_names_of_figures_are_unique() -> None:
    figures = [
        cell.metadata.get("mystnb", {}).get("figure", {})
        for c in CHAPTERS
        for cell in cells(c, "code")
    ]
    names = Counter(figure["name"] for figure in figures if "name" in figure)
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_code_in_fences_and_formulas_are_not_prose() -> None:
    text = "# Title\n\nThree plain words $x + y$ here.\n\n```python\nprint('no words')\n```\n"
    assert words_of_prose(text) == 4
