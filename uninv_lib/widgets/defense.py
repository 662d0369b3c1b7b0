"""The defense lab: unlearning rate, defense and strength against leak and utility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas
import traitlets
from matplotlib.figure import Figure
from tqdm import tqdm  # not tqdm.auto: its bar would be a widget of its own, saved in the page

from uninv_lib import figures
from uninv_lib.data import load
from uninv_lib.experiment import run
from uninv_lib.types import Spec
from uninv_lib.widgets.base import Explorer, Live, Pictures, module
from uninv_lib.widgets.observe import Observed, observe

FIXED: dict[str, Any] = {"dataset": "photos", "model": "mlp", "width": 8, "device": "cpu"}
AXES: dict[str, list[Any]] = {
    "request": [2, 3, 5, 9],
    "unlearning_rate": [1e-4, 1e-3, 1e-2],
    "defense": ["none", "obfuscation", "pruning", "fine_tuning"],
}
STRENGTHS: dict[str, list[Any]] = {
    "none": [0],
    "obfuscation": [0.1, 0.3, 1, 3],
    "pruning": [0.1, 0.3, 0.5, 0.9],
    "fine_tuning": [1, 5, 20],
}
FINER: dict[str, list[Any]] = {
    "request": list(range(32)),
    "unlearning_rate": [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
    "none": [0],
    "obfuscation": [0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10],
    "pruning": [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95],
    "fine_tuning": [1, 2, 3, 5, 10, 20, 40],
}


def _spec(fields: Mapping[str, Any]) -> Spec:
    return Spec(**FIXED, **fields)


def _grid() -> list[dict[str, Any]]:
    return [
        {"request": request, "unlearning_rate": rate, "defense": defense, "strength": strength}
        for request in AXES["request"]
        for rate in AXES["unlearning_rate"]
        for defense in AXES["defense"]
        for strength in STRENGTHS[defense]
    ]


def _cell(fields: Mapping[str, Any], seen: Observed, pictures: Pictures) -> dict[str, Any]:
    names = (
        *("psnr", "inferred_label", "forgotten_label", "something_changed"),
        *("test_accuracy_before", "test_accuracy_released"),
    )
    numbers = {name: seen.metrics[name] for name in names}
    return {
        "spec": dict(fields),
        "metrics": numbers,
        "pictures": [*pictures.add(seen.truth), *pictures.add(seen.frames[-1])],
    }


class DefenseLab(Explorer):
    """Choose an unlearning rate, a defense and its strength; see what is recovered and what the model is still worth.

    Computes its grid of 144 runs when it is made, about ten seconds. live: (Spec, *, progress, watch) -> Record, for
    values off the grid.
    """

    _esm = module("defense")
    strengths = traitlets.Dict().tag(sync=True)

    def __init__(self, *, live: Live | None = run, grid: list[dict[str, Any]] | None = None) -> None:
        runs = tqdm(_grid() if grid is None else grid, "defense lab", unit="run")
        pictures = Pictures()
        cells = [_cell(fields, observe(_spec(fields)), pictures) for fields in runs]
        data = load(FIXED["dataset"])
        super().__init__(
            live=live,
            axes={**AXES, "strength": []},
            strengths=STRENGTHS,
            finer=FINER,
            cells=cells,
            shape=list(data.input_shape),
            pictures=pictures.packed(),
            class_names=list(data.class_names),
        )

    def cell_of(self, fields: Mapping[str, Any], live: Live, pictures: Pictures) -> dict[str, Any]:
        return _cell(fields, observe(_spec(fields), live=live), pictures)

    def figure(self) -> Figure:
        """The whole grid for print: leak against utility, medians over samples and rates."""
        table = pandas.DataFrame([{**cell["spec"], **cell["metrics"]} for cell in self.cells])
        labels = {"test_accuracy_released": "test accuracy of the released model", "psnr": "PSNR of the recovery (dB)"}
        return figures.tradeoff(table, x="test_accuracy_released", y="psnr", labels=labels, title="the lab's grid")
