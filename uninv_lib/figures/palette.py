"""Colours and shapes of what is drawn, told apart by readers who are colour blind, and in grey."""

from __future__ import annotations

from collections.abc import Iterable

import seaborn as sns

from uninv_lib.defenses import DEFENSES

COLOURS: list[str] = list(sns.color_palette("colorblind").as_hex())
MARKERS = "os^DvPX*<>ph"


def styles(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each name, by its position; the same pair comes again after 60."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(dict.fromkeys(names))
    }


DEFENSE_STYLE = styles(DEFENSES)
"""Colour and marker of each defense, in every figure and on every page."""
