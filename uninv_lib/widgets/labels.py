"""The label meter: the confidence of every class, before and after, and what the attacker concludes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets
from matplotlib.figure import Figure

from uninv_lib import figures
from uninv_lib.data import load
from uninv_lib.experiment import run
from uninv_lib.scene import classes_in_turn
from uninv_lib.sweep import read
from uninv_lib.types import Record, Spec
from uninv_lib.widgets.base import Explorer, Live, Pictures, module

FIXED: dict[str, Any] = {
    "dataset": "digits",
    "model": "convnet",
    "width": 8,
    "private_size": 512,
    "attack": "labels",
    "device": "auto",
}
FIELDS = ("forget_share", "unlearning", "probes", "seed", "request")
FINER: dict[str, list[Any]] = {"forget_share": [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0], "seed": list(range(20))}


def _cell(record: Record, num_classes: int) -> dict[str, Any]:
    names = ("label_accuracy", "rank", *(f"change_{i}" for i in range(num_classes)))
    return {
        "spec": {name: getattr(record.spec, name) for name in FIELDS},
        "metrics": {name: record.metrics[name] for name in names},
        "forgotten": int(record.metrics["forgotten_label"]),
    }


class LabelMeter(Explorer):
    """Choose the forgotten class and share, the unlearning and the attacker; see each class's change and the guess.

    records: of label inference on digits; None for those of results/labels.jsonl. live: (Spec, *, progress, watch)
    -> Record, for settings without a Record.
    """

    _esm = module("labels")
    requests: traitlets.List[list[int]] = traitlets.List().tag(sync=True)

    def __init__(self, *, live: Live | None = run, records: list[Record] | None = None) -> None:
        self.records = [r for r in read("labels") if r.spec.dataset == "digits"] if records is None else records
        data = load(FIXED["dataset"])
        orders = [classes_in_turn(seed, data.num_classes) for seed in FINER["seed"]]
        super().__init__(
            live=live,
            axes={name: sorted({getattr(r.spec, name) for r in self.records}) for name in FIELDS},
            finer=FINER,
            cells=[_cell(record, data.num_classes) for record in self.records],
            class_names=list(data.class_names),
            requests=[[order.index(label) for label in range(data.num_classes)] for order in orders],
        )

    def cell_of(self, fields: Mapping[str, Any], live: Live, pictures: Pictures) -> dict[str, Any]:
        return _cell(live(Spec(**FIXED, **fields)), len(self.class_names))

    def figure(self) -> Figure:
        """The first Record for print: the change of each class's confidence, the inferred class marked."""
        cell = _cell(self.records[0], len(self.class_names))
        changes = [cell["metrics"][f"change_{i}"] for i in range(len(self.class_names))]
        title = f"class {self.class_names[cell['forgotten']]} was forgotten"
        words = {"x": "class", "y": "change of confidence", "title": title}
        return figures.bars(changes, self.class_names, marked=changes.index(min(changes)), **words)
