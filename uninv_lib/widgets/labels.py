"""The label meter: the confidence of every class, before and after, and what the attacker
concludes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure

from uninv_lib import figures, metrics
from uninv_lib.attacks.labels.probes import METHODS as PROBES
from uninv_lib.data import load
from uninv_lib.experiment import run
from uninv_lib.runs import read
from uninv_lib.scene import classes_in_turn
from uninv_lib.spec import Record, Spec
from uninv_lib.widgets.base import Explorer, Live, Pictures, module, spec_of

FIXED: dict[str, Any] = {
    "dataset": "digits",
    "model": "convnet",
    "width": 8,
    "private_size": 512,
    "attack": "labels",
    "device": "auto",
}
SETTING = ("forget_share", "unlearning", "probes")
FIELDS = (*SETTING, "seed", "request")
FINER: dict[str, list[Any]] = {
    "forget_share": [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0],
    "seed": list(range(20)),
}
OPENS: dict[str, Any] = {
    "forget_share": 0.1,
    "unlearning": "gradient_ascent",
    "probes": "public",
    "seed": 0,
}
SCORES = {"public": "log_odds"}  # of all others confidence, as published
FORGOTTEN = 7  # named by the best attacker and missed by the published ones
NOTE = (
    "Each model before was trained on its own from the start; the interval is about other "
    "such models, too."
)


def score_of(probes: str) -> str:
    """The score that goes with these probes."""
    return SCORES.get(probes, "confidence")


def _spec(fields: Mapping[str, Any]) -> Spec:
    """Each seed has a model of its own; public samples are read in log-odds, published probes as
    published.
    """
    return spec_of(
        FIXED, fields, {"score": score_of(fields["probes"]), "model_seed": fields["seed"]}
    )


def _records() -> list[Record]:
    """Those of published probes, and those of public samples under the same settings and models."""
    published = [r for r in read("labels") if r.spec.dataset == "digits"]
    known = {(r.spec.forget_share, r.spec.seed) for r in published}
    return published + [
        r for r in read("labels_scores_convnet") if (r.spec.forget_share, r.spec.seed) in known
    ]


def _cell(record: Record, num_classes: int) -> dict[str, Any]:
    changes = {
        f"change_{i}": float(f"{record.metrics[f'change_{i}']:.4g}") for i in range(num_classes)
    }
    return {
        "spec": {name: getattr(record.spec, name) for name in FIELDS},
        "metrics": {"inferred_label": int(record.metrics["inferred_label"]), **changes},
        "forgotten": int(record.metrics["forgotten_label"]),
    }


def _rates(records: list[Record]) -> list[dict[str, Any]]:
    """How often each attacker is right in each setting, with the interval over models."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(getattr(record.spec, name) for name in SETTING), []).append(record)
    found = []
    for setting, alike in groups.items():
        right = torch.tensor([record.metrics["label_accuracy"] == 1 for record in alike])
        _, low, high = metrics.rate(
            right, models=torch.tensor([record.spec.model_seed for record in alike])
        )
        interval = {"right": int(right.sum()), "of": len(alike), "low": low, "high": high}
        found.append({**dict(zip(SETTING, setting, strict=True)), **interval})
    return found


class LabelMeter(Explorer):
    """Choose the forgotten class and share, the unlearning and the attacker; see each class's
    change and the guess.

    records: of label inference on digits; None for the committed ones. live: (Spec, *, progress,
    watch) -> Record, for settings without a Record.
    """

    _esm = module("labels")
    requests: traitlets.List[list[int]] = traitlets.List().tag(sync=True)
    scores = traitlets.Dict().tag(sync=True)
    rates: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, *, live: Live | None = run, records: list[Record] | None = None) -> None:
        known = _records() if records is None else records
        data = load(FIXED["dataset"])
        orders = [classes_in_turn(seed, data.num_classes) for seed in FINER["seed"]]
        cells = [_cell(record, data.num_classes) for record in known]
        opens = {**OPENS, "request": orders[OPENS["seed"]].index(FORGOTTEN)}
        first = next((cell for cell in cells if cell["spec"] == opens), cells[0])
        super().__init__(
            live=live,
            axes={name: sorted({cell["spec"][name] for cell in cells}) for name in FIELDS},
            finer=FINER,
            cells=cells,
            class_names=list(data.class_names),
            requests=[
                [order.index(label) for label in range(data.num_classes)] for order in orders
            ],
            rates=_rates(known),
            scores={name: score_of(name) for name in PROBES},
            fresh={
                **{name: first["spec"][name] for name in (*SETTING, "seed")},
                "forgotten": first["forgotten"],
            },
            note=NOTE,
        )

    def cell_of(self, fields: Mapping[str, Any], live: Live, pictures: Pictures) -> dict[str, Any]:
        return _cell(live(_spec(fields)), len(self.class_names))

    def figure(self) -> Figure:
        """The view that the widget opens on, and how often it is so, for print."""
        fresh, names = self.fresh, self.class_names
        setting = {name: fresh[name] for name in SETTING}
        of_model = {**setting, "seed": fresh["seed"]}
        alike = [cell for cell in self.cells if of_model.items() <= cell["spec"].items()]
        cell = next(cell for cell in alike if cell["forgotten"] == fresh["forgotten"])
        missed = sorted(
            c["forgotten"] for c in alike if c["metrics"]["inferred_label"] != c["forgotten"]
        )
        rate = next(rate for rate in self.rates if setting.items() <= rate.items())
        share = (
            f"{rate['right'] / rate['of']:.0%} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"
        )
        title = (
            f"class {names[cell['forgotten']]} was forgotten\n"
            f"missed of the same model: {', '.join(names[i] for i in missed) or 'none'}\n"
            f"right of all models: {rate['right']} of {rate['of']}, {share}"
        )
        score = self.presentation["score"][score_of(fresh["probes"])]["name"]
        changes = [cell["metrics"][f"change_{i}"] for i in range(len(names))]
        words = {"x": "class", "y": f"change of {score}", "title": title}
        return figures.bars(changes, names, marked=cell["metrics"]["inferred_label"], **words)
