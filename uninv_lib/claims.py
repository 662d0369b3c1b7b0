"""The rule of verdicts: a claim, its bound, the cases with their intervals -> a word, and the
sentence that says it.

A cell shows what these functions return, so that the sentence is computed whenever its run is. A
verdict's output also holds it as data, which `collected` reads from an executed notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any, Literal

from torch import tensor

from uninv_lib import metrics

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

Interval = tuple[float, float, float]
"""(value, low, high), as `metrics.interval`, `metrics.rate` and `metrics.wilson` give them."""
Word = Literal["holds", "holds with conditions", "refuted", "not shown", "not testable here"]
RULE: dict[Word, str] = {
    "holds": "the interval of every case lies on the claim's side of its bound",
    "holds with conditions": (
        "the interval of some case does: these are named, and so are the others"
    ),
    "refuted": (
        "the interval of some case lies on the other side of the bound, and of none on the claim's"
    ),
    "not shown": "no case decides: every interval holds the bound",
    "not testable here": "the data or the model that the claim is about are not at hand",
}
"""What each word means; a verdict is the first that applies."""
UNITS = ("dB", "%", "")
OTHER = {"above": "below", "below": "above"}
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MIME = "application/vnd.uninv.claim+json"
"""The type of a verdict as data, in the output of the cell that shows it."""


def median(rows: pandas.DataFrame, column: str, *, over: str | None = "model_seed") -> Interval:
    """The median of a column with its interval, by `metrics.interval`.

    over: the column whose values are drawn first and rows within them, so that the interval is
    about other models, or other private sets, too; None where there is one.
    """
    return metrics.interval(_tensor(rows[column]), models=_tensor(rows[over]) if over else None)


def share(rows: pandas.DataFrame, column: str, *, over: str | None = "model_seed") -> Interval:
    """The share of ones in a column of ones and zeros, by `metrics.rate`; over: as in `median`."""
    return metrics.rate(_tensor(rows[column]), models=_tensor(rows[over]) if over else None)


def _tensor(column: pandas.Series) -> Tensor:
    return tensor(column.to_numpy())


def cases(
    rows: pandas.DataFrame,
    by: str | Sequence[str],
    column: str,
    *,
    of: Callable[..., Interval] = median,
    name: str = "",
    over: str | None = "model_seed",
) -> dict[str, Interval]:
    """`of` a column for each value of another, or for each combination of the values of several, in
    the order of the rows.

    name: what a case is called, with the names of `by` in braces, "{model} (N = {size})"; without,
    the values, with commas between.
    """
    names = [by] if isinstance(by, str) else list(by)
    called = name or ", ".join(f"{{{part}}}" for part in names)
    return {
        called.format(**dict(zip(names, key, strict=True))): of(part, column, over=over)
        for key, part in rows.groupby(names, sort=False)
    }


def shown(found: Interval | float, unit: str = "", *, digits: int | None = None) -> str:
    """A value with its interval, "10.5 dB [7.3, 12.5]"; a value alone, "10.5 dB".

    unit: "dB", one decimal; "%", a share in [0, 1] as whole percents; "", three significant digits.
    digits: decimals in place of that. Raises ValueError for another unit.
    """
    if unit not in UNITS:
        raise ValueError(f"unit: {unit!r}; allowed: {', '.join(map(repr, UNITS))}")
    values = found if isinstance(found, tuple) else (found,)
    first, *edges = (_number(value, unit, digits) for value in values)
    unit = {"dB": " dB", "%": "%", "": ""}[unit]
    return f"{first}{unit} [{', '.join(edges)}]" if edges else f"{first}{unit}"


def _number(value: float, unit: str, digits: int | None) -> str:
    value *= 100 if unit == "%" else 1
    if digits is None and unit == "":
        text = f"{value + 0.0:.3g}"
        mantissa, _, power = text.partition("e")
        text = f"{mantissa} × 10{str(int(power)).translate(RAISED)}" if power else text
        return text.replace("-", "−")
    places = {"dB": 1, "%": 0}[unit] if digits is None else digits
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", "−")  # + 0.0: never "−0.0"


class Said(str):
    """A sentence or a list in Markdown, which a notebook shows as prose."""

    def _repr_markdown_(self) -> str:
        return str(self)


def table(rows: Iterable[Mapping[str, object]], **units: str) -> Said:
    """Rows of one shape as a Markdown table, the names of the first as its head.

    units: of the columns that hold values or intervals, which `shown` writes: gain="dB".
    """
    lines = [
        {
            _cell(name): _cell(shown(value, units[name]) if name in units else value)  # type: ignore[arg-type]
            for name, value in row.items()
        }
        for row in rows
    ]
    head = list(lines[0])
    cells = [head, ["---"] * len(head), *([line[name] for name in head] for line in lines)]
    return Said("\n".join(f"| {' | '.join(row)} |" for row in cells))


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")  # else it would end the cell


@dataclass(frozen=True)
class Verdict:
    """What the cases say of a claim; see RULE. `why` is given where no case can be had."""

    claim: str
    side: Literal["above", "below"]
    bound: float
    cases: Mapping[str, Interval] = field(default_factory=dict)
    unit: str = ""
    why: str = ""

    def _on(self, side: str) -> list[str]:
        """The cases whose interval lies on this side of the bound, or holds it: "above", "below",
        "undecided".
        """
        return [name for name, case in self.cases.items() if _side(case, self.bound) == side]

    @property
    def word(self) -> Word:
        """What the rule says of the cases."""
        if not self.cases:
            return "not testable here"
        if len(self._on(self.side)) == len(self.cases):
            return "holds"
        if self._on(self.side):
            return "holds with conditions"
        return "refuted" if self._on(OTHER[self.side]) else "not shown"

    def __str__(self) -> str:
        if not self.cases:
            return f"**{self.claim}** *{self.word}*: {self.why}."
        bound = shown(self.bound, self.unit, digits=None if self.unit else _decimals(self.bound))
        heads = {"above": f"Above {bound}", "undecided": "Undecided", "below": f"Below {bound}"}
        parts = [
            f"{heads[side]}: {'; '.join(f'{n} {shown(self.cases[n], self.unit)}' for n in cases)}"
            for side in (self.side, "undecided", OTHER[self.side])
            if (cases := self._on(side))
        ]
        return f"**{self.claim}** *{self.word}*. {'. '.join(parts)}."

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/markdown": str(self), MIME: asdict(self) | {"word": self.word}}

    def asserted(self, *words: Word) -> Verdict:
        """This verdict, where the prose beside it needs one of these words. Raises AssertionError
        for another.
        """
        if self.word not in words:
            raise AssertionError(f"{self}\nthe text beside it says: {' or '.join(words)}")
        return self


def above(cases: Mapping[str, Interval], bound: float, claim: str, unit: str = "") -> Verdict:
    """The verdict on a claim that says: more than `bound`. Raises ValueError for no case, no bound
    and no interval.
    """
    return _of(cases, "above", bound, claim, unit)


def below(cases: Mapping[str, Interval], bound: float, claim: str, unit: str = "") -> Verdict:
    """The verdict on a claim that says: less than `bound`; as `above`."""
    return _of(cases, "below", bound, claim, unit)


def not_testable(claim: str, why: str) -> Verdict:
    """The verdict on a claim whose data or models are not at hand."""
    return Verdict(claim, "above", 0.0, why=why)


def check(said: str, *holds: object) -> Said:
    """A statement beside the claims, which the text leans on as well: every part of it must hold.

    holds: truth values, or arrays of them, all of whose entries count. Raises AssertionError with
    the statement, and ValueError where nothing is asked.
    """
    if not holds:
        raise ValueError(f"holds: nothing for {said!r}; allowed: one or more truth values")
    if not all(bool(part.all()) if hasattr(part, "all") else bool(part) for part in holds):
        raise AssertionError(f"does not hold: {said}")
    return Said(said)


def collected(cells: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The verdicts that the cells of an executed notebook show: claim, side, bound, unit, word, why
    and cases, {name: [value, low, high]}.
    """
    for cell in cells:
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                yield output["data"][MIME]


def _of(
    cases: Mapping[str, Interval],
    side: Literal["above", "below"],
    bound: float,
    claim: str,
    unit: str,
) -> Verdict:
    if not cases:
        raise ValueError(
            f"cases: none for {claim!r}; allowed: one or more, or not_testable(claim, why)"
        )
    if isnan(bound):
        raise ValueError(f"bound: nan for {claim!r}; allowed: a number")
    for name, (value, low, high) in cases.items():
        if isnan(value) or not low <= value <= high:
            raise ValueError(
                f"cases: {name} has {value:.3g} [{low:.3g}, {high:.3g}]; allowed: low <= "
                "value <= high"
            )
    return Verdict(claim, side, bound, dict(cases), unit)


def _side(case: Interval, bound: float) -> str:
    return "above" if case[1] > bound else "below" if case[2] < bound else "undecided"


def _decimals(value: float) -> int | None:
    return 0 if float(value).is_integer() else None
