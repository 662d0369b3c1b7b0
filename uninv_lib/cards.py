"""Defense cards: what a defense costs at the strength at which even the better attacker has no
more than a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uninv_lib import claims
from uninv_lib.claims import Interval, Said, median

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Card:
    """One defense: `strength`, the least at which it hides, or, where none does (`hides` is false),
    the strongest that was tried; leak: there, of the better `attacker`; cost: there.
    """

    defense: str
    strength: float
    hides: bool
    attacker: str
    leak: Interval
    cost: Interval


def leaks(
    rows: pandas.DataFrame,
    attackers: Mapping[str, str],
    *,
    of: Callable[..., Interval] = median,
) -> dict[str, Interval]:
    """How much each attacker has of these rows, by `of` a column, the one with more first;
    attackers: {name: column}. One whose column holds nothing was not tried. Raises ValueError where
    none was.
    """
    tried = {name: rows.dropna(subset=column) for name, column in attackers.items()}
    found = {name: of(own, attackers[name]) for name, own in tried.items() if len(own)}
    if not found:
        raise ValueError(f"attackers: {list(attackers)} were not tried; allowed: one that was")
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def cards(
    rows: pandas.DataFrame,
    attackers: Mapping[str, str],
    *,
    bound: float,
    cost: str,
    of: Callable[..., Interval] = median,
) -> Iterator[Card]:
    """A card of each defense in column `defense`, over its column `strength`.

    A strength hides where the whole interval of every attacker lies below the bound, there and at
    each greater strength: the one who knows of the defense counts wherever that one was tried, and
    one lucky strength does not. cost: a column whose median is told. Rows without a defense are
    passed over.
    """
    for defense, own in rows[rows.defense != "none"].groupby("defense", sort=False):
        strengths = sorted(own.strength.unique())
        at = {s: leaks(own[own.strength == s], attackers, of=of) for s in strengths}
        low = [s for s in strengths if all(high < bound for _, _, high in at[s].values())]
        hiding = [s for s in low if all(greater in low for greater in strengths if greater > s)]
        strength = (hiding or strengths[-1:])[0]
        attacker, leak = next(iter(at[strength].items()))
        there = median(own[own.strength == strength], cost)
        yield Card(defense, strength, bool(hiding), attacker, leak, there)


def table(found: Iterable[Card], unit: str) -> Said:
    """Cards as a Markdown table; unit: of what is left, as of `claims.shown`. A cost is told in the
    column's own unit with one decimal.
    """
    return claims.table(
        {
            "defense": card.defense.replace("_", "-"),
            "hides at": f"{card.strength:g}" if card.hides else "at none",
            "better attacker": card.attacker,
            "left": claims.shown(card.leak, unit),
            "accuracy lost": claims.shown(card.cost, digits=1),
        }
        for card in found
    )
