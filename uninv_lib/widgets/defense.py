"""The defense lab: unlearning rate, defense and strength against leak and utility."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pandas
import traitlets
from matplotlib.figure import Figure
from tqdm import tqdm  # not tqdm.auto: its bar would be a widget of its own, saved in the page

from uninv_lib import figures, metrics
from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.data import load
from uninv_lib.defenses import DEFENSES
from uninv_lib.experiment import run
from uninv_lib.spec import Spec
from uninv_lib.widgets.base import Explorer, Live, Pictures, module, spec_of, spoken
from uninv_lib.widgets.observe import Observed, observe, people
from uninv_lib.widgets.presentation import strengths

FIXED: dict[str, Any] = {
    "dataset": "photos",
    "model": "mlp",
    "width": 8,
    "seed": 66,
    "device": "cpu",
}
AXES: dict[str, list[Any]] = {
    "request": [23, 10, 1, 3],  # a smile, a petal, an eye, a wheel
    "unlearning_rate": [1e-4, 1e-3, 1e-2],
}
FINER: dict[str, list[Any]] = {
    "request": list(range(32)),
    "unlearning_rate": [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
}
FINER_STRENGTHS: dict[str, list[Any]] = {
    "obfuscation": [0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10],
    "pruning": [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95],
    "fine_tuning": [1, 2, 3, 5, 10, 20, 40],
}
"""What a kernel adds; of a defense that is not named here, the middle between its examples."""
FEWER: dict[str, list[Any]] = {"request": [23, 1], "unlearning_rate": [1e-3]}
BEYOND = ("sign", "top_k", "rounding", "precision", "decoys", "projection", "cosine", "dp_sgd")
"""Defenses beyond the paper's, of which the page holds FEWER: all would triple its time."""
NOTE = (
    "Each mark is one run: one fully connected net, one private set, drawn with a seed that "
    "was chosen because it "
    "holds pictures that have a name."
)


def _spec(fields: Mapping[str, Any]) -> Spec:
    return spec_of(FIXED, fields)


def _finer(defense: str) -> list[Any]:
    if defense in FINER_STRENGTHS:
        return FINER_STRENGTHS[defense]
    values = strengths(defense)
    whole = all(isinstance(value, int) for value in values)
    between = [(a + b) // 2 if whole else (a + b) / 2 for a, b in pairwise(values)]
    return sorted({*values, *between})


def _grid() -> list[dict[str, Any]]:
    return [
        {"request": request, "unlearning_rate": rate, "defense": defense, "strength": strength}
        for request in AXES["request"]
        for rate in AXES["unlearning_rate"]
        for defense in DEFENSES
        if defense not in BEYOND
        or (request in FEWER["request"] and rate in FEWER["unlearning_rate"])
        for strength in strengths(defense)
    ]


def _shared(table: pandas.DataFrame) -> pandas.DataFrame:
    """The runs of what every defense was tried on."""
    tried = table.groupby(list(AXES))["defense"].transform("nunique")
    return table[tried == table["defense"].nunique()]


def _cell(fields: Mapping[str, Any], seen: Observed, pictures: Pictures) -> dict[str, Any]:
    names = [
        *("gain", "psnr", "inferred_label", "forgotten_label", "forgotten_confidence"),
        *("test_accuracy_before", "test_accuracy_released"),
    ]
    shown = [*pictures.add(seen.truth), *pictures.add(seen.frames[-1])]
    if seen.known is not None:
        shown += pictures.add(metrics.match(seen.known, seen.truth)[:1])
        names += ["gain_adaptive", "psnr_adaptive", "inferred_label_adaptive"]
    return {
        "spec": dict(fields),
        "metrics": {name: seen.metrics[name] for name in names},
        "pictures": shown,
    }


class DefenseLab(Explorer):
    """Choose an unlearning rate, a defense and its strength; see what is recovered and what
    the model is still worth.

    Computes its grid when it is made, 198 runs in a minute or two: the paper's defenses at all
    AXES, the others at FEWER. Each cell holds what the attacker finds who knows of the defense,
    too. live: (Spec, *, progress, watch) -> Record, for values off the grid.
    """

    _esm = module("defense")
    strengths = traitlets.Dict().tag(sync=True)
    """By defense, those of the grid; 0 alone where there is none. `finer` holds more of them."""
    cap = traitlets.Float(40.0).tag(sync=True)
    """dB: from here on a recovery is exact to the eye, and the plane does not tell how exact."""

    def __init__(
        self, *, live: Live | None = run, grid: list[dict[str, Any]] | None = None
    ) -> None:
        chosen = _grid() if grid is None else grid
        pictures = Pictures()
        cells = [
            _cell(fields, observe(_spec(fields)), pictures)
            for fields in tqdm(chosen, "defense lab", unit="run")
        ]
        data = load(FIXED["dataset"])
        first = next((fields for fields in chosen if fields["unlearning_rate"] == 1e-3), chosen[0])
        super().__init__(
            live=live,
            axes={**AXES, "defense": list(DEFENSES), "strength": []},
            strengths={name: strengths(name) for name in DEFENSES},
            finer={**FINER, "strengths": {name: _finer(name) for name in DEFENSES}},
            cells=cells,
            shape=list(data.input_shape),
            pictures=pictures.packed(),
            class_names=spoken(data.class_names),
            fresh={**first, "knows": True},
            people=people(_spec(chosen[0])),
            note=NOTE,
        )

    def cell_of(self, fields: Mapping[str, Any], live: Live, pictures: Pictures) -> dict[str, Any]:
        return _cell(fields, observe(_spec(fields), live=live), pictures)

    def figure(self) -> Figure:
        """The grid for print: leak to the best attacker against utility, medians over samples
        and rates that all of its defenses were tried on.
        """
        table = _shared(
            pandas.DataFrame([{**cell["spec"], **cell["metrics"]} for cell in self.cells])
        )
        table["leak"] = table.get("gain_adaptive", table["gain"]).fillna(table["gain"])
        labels = {
            "test_accuracy_released": "test accuracy of the released model",
            "leak": "gain above best null (dB)",
        }
        knows = not ADAPTIVE.keys().isdisjoint(table["defense"])
        title = "the lab's grid" + (", to who knows of the defense" if knows else "")
        x = "test_accuracy_released"
        return figures.tradeoff(table, x=x, y="leak", labels=labels, title=title, y_max=self.cap)
