"""A defense card: the least strength that hides, from the better of two attackers."""

import pandas
import pytest

from uninv_lib.cards import cards, leaks, table
from uninv_lib.claims import share

ATTACKERS = {"naive": "gain", "knows": "gain_adaptive"}


def rows(defense, by_strength):
    """Four models, a row each, at each strength: (naive, knowing, cost)."""
    return pandas.DataFrame(
        [
            {
                "defense": defense,
                "strength": strength,
                "gain": naive + 0.1 * model,
                "gain_adaptive": None if knows is None else knows + 0.1 * model,
                "cost": cost,
                "model_seed": model,
            }
            for strength, (naive, knows, cost) in by_strength.items()
            for model in range(4)
        ]
    )


def card(table, **words):
    (found,) = cards(table, ATTACKERS, bound=3, cost="cost", **words)
    return found


def test_a_strength_that_hides_from_the_naive_alone_does_not_hide():
    found = card(rows("pruning", {0.1: (9, 20, 0), 0.5: (-2, 9, 1), 0.9: (-5, -4, 30)}))
    assert (found.strength, found.hides, found.attacker) == (0.9, True, "knows")
    assert found.cost[0] == 30


def test_one_lucky_strength_between_leaking_ones_does_not_hide():
    found = card(rows("cosine", {1: (9, 9, 0), 2: (-1, -2, 0), 3: (8, 1, 0)}))
    assert (found.strength, found.hides) == (3, False)


def test_where_nothing_hides_the_card_tells_of_the_strongest():
    found = card(rows("pruning", {0.1: (9, 20, 0), 0.5: (-2, 9, 1)}))
    assert (found.strength, found.hides) == (0.5, False)
    assert found.leak[0] == pytest.approx(9.15)


def test_an_attacker_who_was_not_tried_does_not_count():
    table = rows("none_known", {1: (9, None, 0), 2: (-1, None, 4)})
    assert (card(table).strength, card(table).attacker) == (2, "naive")
    with pytest.raises(ValueError, match=r"attackers: \['knows'\] were not tried"):
        leaks(table, {"knows": "gain_adaptive"})


def test_every_attacker_must_be_below_by_the_whole_interval():
    table = rows("sign", {1: (2.5, 0, 0)})
    table.loc[table.model_seed > 1, "gain_adaptive"] = 9.0  # the median is above, or not, by chance
    assert not card(table).hides


def test_rows_without_a_defense_get_no_card():
    assert not [*cards(rows("none", {0: (9, 9, 0)}), ATTACKERS, bound=3, cost="cost")]


def test_shares_of_labels_are_judged_by_their_own_interval():
    table = rows("pruning", {0.5: (0, 0, 1)}).assign(gain=1.0, gain_adaptive=0.0)
    found = card(table, of=share)
    assert found.attacker == "naive"


def test_a_card_is_a_line_that_says_where_none_hides():
    rows_ = rows("top_k", {0.5: (9, 12, 1)})
    said = table(cards(rows_, ATTACKERS, bound=3, cost="cost"), "dB")
    assert "| top-k | at none | knows | 12.1 dB [12.0, 12.3] | 1.0 [1.0, 1.0] |" in said
