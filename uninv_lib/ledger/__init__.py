"""The ledger: each claim with what was run for it, what came out, and the verdict, from results/.

What is typed of an entry is the claim and which Records speak of it; all else is computed of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uninv_lib import claims, results
from uninv_lib.claims import Verdict
from uninv_lib.data import file_of
from uninv_lib.ledger.entries import ENTRIES, Entry
from uninv_lib.ledger.later import LADDER, LATER
from uninv_lib.results import frame, read
from uninv_lib.support.extras import needs

if TYPE_CHECKING:
    import pandas

__all__ = [
    "ENTRIES",
    "LADDER",
    "LATER",
    "PUBLISHED",
    "Entry",
    "deviations",
    "differences",
    "ran",
    "rows_of",
    "said",
    "verdict",
]

EXACT = 60.0
"""dB. Above it a picture is the sample itself up to rounding; what a defense takes counts from
here."""
SAME = ["dataset", "model", "dtype", "knowledge", "attack", "seed", "model_seed", "request"]
"""Rows that agree in these are of one request."""
PUBLISHED: Mapping[str, tuple[object, ...]] = {
    "dataset": ("cifar10", "cifar100", "stl10"),
    "model": ("convnet", "resnet18"),
    "width": (64,),
    "epochs": (120,),
    "private_size": (8, 32, 512, 1000),
    "private_epochs": (1,),
    "unlearning_rate": (1e-3,),
    "unlearning_steps": (1,),
    "dtype": ("float32",),
    "budget": ("full",),
    "probes": ("gradient", "zoo"),
    "score": ("confidence",),
}
"""The protocol of the paper's official code, in the fields of a Spec; "full" is its 10,000
iterations from five starts, and 120 epochs."""


def rows_of(entry: Entry) -> pandas.DataFrame:
    """The Records that speak of a claim, a row each; of several people, one each.

    Raises what `results.read` raises, and ValueError where there are none.
    """
    files = (results.RESULTS / f"{name}.jsonl" for name in entry.files)
    stamps = tuple((file, file.stat().st_mtime_ns) for file in files if file.exists())
    found = _table(entry.files, stamps).query(entry.where)
    if found.empty:
        raise ValueError(f"{entry.claim} no Record of {', '.join(entry.files)} is {entry.where}")
    if entry.each:
        found = _each(found)
    if entry.against:
        found = _changed(found, entry)
    found = found.dropna(subset=entry.column)
    return found.sort_values([*entry.by], kind="stable")


def ran(entry: Entry) -> pandas.DataFrame:
    """The Records that were run for a claim, a row each, those included that others are held
    against. Raises what `rows_of` raises.
    """
    return rows_of(replace(entry, against=None, each=False, column="seed"))


@cache
def _table(names: tuple[str, ...], _stamps: object) -> pandas.DataFrame:
    """All Records of these files, until one of them changes its stamp."""
    return _once(_derived(frame(record for name in names for record in read(name))))


def verdict(entry: Entry, rows: pandas.DataFrame | None = None) -> Verdict:
    """The verdict on a claim, by the rule of `claims`. rows: of `rows_of`, where they are there.
    Raises what that raises.
    """
    found = rows_of(entry) if rows is None else rows
    how: dict[str, Any] = {"of": entry.of, "name": entry.called, "over": entry.over}
    cases = claims.cases(found, entry.by, entry.column, **how)
    judge = claims.above if entry.side == "above" else claims.below
    return judge(cases, entry.bound, entry.claim, entry.unit)


def said(rows: pandas.DataFrame) -> str:
    """What was run: Records, models, private sets, requests to each; data, nets and attacks."""
    counted = {"Records": len(rows)}
    names = {"models": "model_seed", "private sets": "seed", "requests": "request"}
    counted |= {name: rows[column].nunique() for name, column in names.items()}
    told = [
        f"{count} {name if count != 1 else name.rstrip('s')}" for name, count in counted.items()
    ]
    kinds = [", ".join(map(str, rows[c].unique())) for c in ("dataset", "model", "attack")]
    return f"{', '.join(told)}; {'; '.join(kinds)}"


def deviations(rows: pandas.DataFrame) -> Iterator[str]:
    """Where what was run differs from PUBLISHED: the field, what it was, what was published."""
    for field, (published, here) in differences([rows]).items():
        yield f"{field} {here} ({published})"


def differences(tables: Iterable[pandas.DataFrame]) -> dict[str, tuple[str, str]]:
    """By field of PUBLISHED: what was published, and what these tables have besides."""
    found: dict[str, tuple[str, str]] = {}
    for field, published in PUBLISHED.items():
        came = [v for rows in tables if field in rows for v in rows[field].dropna().unique()]
        if other := [v for v in dict.fromkeys(came) if v not in published]:
            found[field] = (_listed(published), _listed(other))
    return found


def _listed(values: Iterable[object]) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def _derived(rows: pandas.DataFrame) -> pandas.DataFrame:
    """With data sets by a short name, and what claims are about beside the metrics: what is left to
    the attacker who `knows` of the defense, and that with exact pictures capped (`capped`); what
    knowing adds (`knowing`), and what the curvature of public data (`curvature`); points of
    accuracy lost (`cost`).
    """
    new: dict[str, pandas.Series] = {"dataset": rows["dataset"].map(_short)}
    if "gain" in rows:
        known = rows["gain_adaptive"] if "gain_adaptive" in rows else rows["gain"]
        new["knows"] = known.fillna(rows["gain"])
        new["capped"] = new["knows"].clip(upper=EXACT)
        new["knowing"] = known - rows["gain"]
    if "psnr_first_order" in rows:
        new["curvature"] = rows["psnr"] - rows["psnr_first_order"]
    if {"test_accuracy_before", "test_accuracy_released"} <= {*rows}:
        start = rows["test_accuracy_before"]
        if "test_accuracy_after" in rows:
            start = rows["test_accuracy_after"].fillna(start)
        new["cost"] = 100 * (start - rows["test_accuracy_released"])
    return rows.assign(**new)


def _short(dataset: str) -> str:
    """The name of a data set, or of its file."""
    return Path(file_of(dataset)).stem or dataset


def _once(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Without requests that come again: a whole class is unlearned approximately in one way."""
    if "forget_share" not in rows or "forgotten_label" not in rows:
        return rows
    run = ["dataset", "model", "probes", "score", "defense", "strength", "seed", "forgotten_label"]
    again = rows.duplicated([name for name in run if name in rows] + ["unlearning", "forget_share"])
    whole = rows.forget_share.eq(1) & rows.unlearning.eq("gradient_ascent")
    return rows[~(again & whole)]


def _each(rows: pandas.DataFrame) -> pandas.DataFrame:
    """A row for each person of a request, with the `gain` of that person."""
    with needs("figures"):
        import pandas

    parts = [
        own.assign(gain=own[f"gain_{i}"])
        for i in range(rows["forget_size"].max())
        if len(own := rows[rows["forget_size"] > i])
    ]
    return pandas.concat(parts)


def _changed(rows: pandas.DataFrame, entry: Entry) -> pandas.DataFrame:
    """The rows less the one of the same request that `against` names, in the claim's column."""
    assert entry.against is not None
    name, value = entry.against
    same = [field for field in SAME if field in rows and field != name]
    bare = rows[rows[name] == value].drop_duplicates(same).set_index(same)[entry.column]
    rest = rows[rows[name] != value]
    return rest.join(bare, on=same, rsuffix="_bare").assign(
        **{entry.column: lambda t: t[entry.column] - t[f"{entry.column}_bare"]}
    )
