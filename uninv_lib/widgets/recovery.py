"""The recovery explorer: how a picture emerges, exact against approximate unlearning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from uninv_lib import figures
from uninv_lib.data import load
from uninv_lib.experiment import run
from uninv_lib.spec import Spec
from uninv_lib.widgets.base import Explorer, Live, Pictures, module, spec_of, spoken
from uninv_lib.widgets.observe import Observed, observe, people
from uninv_lib.widgets.presentation import takes
from uninv_lib.widgets.recorded import key_of, recorded

FIXED: dict[str, Any] = {
    "dataset": "photos",
    "model": "convnet",
    "width": 8,
    "attack": "inner_maps",
    "budget": "quick",
    "seed": 66,
    "device": "cpu",
}
AXES: dict[str, list[Any]] = {
    "sample": [10, 17, 23],  # a petal, galaxies in the dark, a smile
    "unlearning": ["gradient_ascent", "retrain"],
    "unlearning_rate": [1e-7, 1e-3],
    "forget_size": [1, 2],
}
FINER: dict[str, list[Any]] = {
    **AXES,
    "sample": list(range(32)),
    "unlearning_rate": [1e-7, 3e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "forget_size": [1, 2, 3, 4],
}


def _spec(fields: Mapping[str, Any]) -> Spec:
    """`sample` is counted in the order of the private people; the request that forgets it with its
    neighbours.
    """
    words = dict(fields)
    request = words.pop("sample") // max(1, words["forget_size"])
    return spec_of(FIXED, words, {"request": request})


def _grid() -> list[dict[str, Any]]:
    """Each sample alone at each rate and exactly, the published rate first; the first one with its
    neighbour, too.
    """
    published = AXES["unlearning_rate"][-1]
    alone = [
        (sample, 1, rate) for sample in AXES["sample"] for rate in AXES["unlearning_rate"][::-1]
    ]
    pairs = [(AXES["sample"][0], size, published) for size in AXES["forget_size"][1:]]
    return [
        {"sample": sample, "unlearning": unlearning, "unlearning_rate": rate, "forget_size": size}
        for sample, size, rate in alone + pairs
        for unlearning in AXES["unlearning"]
        if rate == published or takes("unlearning", unlearning, "unlearning_rate")
    ]


NOTE = (
    "These are runs of a {model} of width {width} with the {budget} budget, on one private "
    "set, drawn with a seed that "
    "was chosen because it holds pictures that have a name."
)
GRID = [_spec(fields) for fields in _grid()]
"""What the built book shows: the first run live, the others as they are recorded."""


def _cell(fields: Mapping[str, Any], seen: Observed, pictures: Pictures) -> dict[str, Any]:
    names = ("gain", "psnr", "something_changed", "update_cosine", "forgotten_confidence")
    numbers = {name: seen.metrics[name] for name in names}
    best_null = numbers["psnr"] - numbers["gain"]
    curves = {**seen.curves, "gain": [ratio - best_null for ratio in seen.curves["psnr"]]}
    curves = {name: [float(f"{v:.6g}") for v in values] for name, values in curves.items()}
    shown = [number for frame in (seen.truth, *seen.frames) for number in pictures.add(frame)]
    left = {n: v for n, v in seen.metrics.items() if n.startswith("residual_")}
    solved = [
        [
            name.removeprefix("residual_"),
            rest,
            seen.metrics[name.replace("residual", "certified", 1)],
        ]
        for name, rest in left.items()
    ]
    return {
        "spec": dict(fields),
        "metrics": numbers,
        "solved": solved,
        "steps": seen.steps,
        "curves": curves,
        "pictures": shown,
    }


class RecoveryExplorer(Explorer):
    """Choose the forgotten sample, the unlearning and how many go together, and scrub through the
    search.

    Computes the first cell of the grid, and holds the others as they are recorded where the
    project's results are at hand; with a kernel what is not there is computed when the reader asks.
    live: (Spec, *, progress, watch) -> Record.
    """

    _esm = module("recovery")

    def __init__(
        self, *, live: Live | None = run, grid: list[dict[str, Any]] | None = None
    ) -> None:
        chosen, held = (_grid(), recorded()) if grid is None else (grid, {})
        specs = [_spec(fields) for fields in chosen]
        seen = [
            observe(spec) if i == 0 or grid is not None else held.get(key_of(spec))
            for i, spec in enumerate(specs)
        ]
        pictures, data = Pictures(), load(FIXED["dataset"])
        self.first = seen[0]
        super().__init__(
            live=live,
            axes=AXES,
            finer=FINER,
            cells=[
                _cell(fields, one, pictures)
                for fields, one in zip(chosen, seen, strict=True)
                if one
            ],
            shape=list(data.input_shape),
            pictures=pictures.packed(),
            class_names=spoken(data.class_names),
            fresh={**chosen[0], "step": 10**6},  # past the last step of any search
            people=people(_spec(chosen[0])),
            note=NOTE.format(**FIXED),
        )

    def cell_of(self, fields: Mapping[str, Any], live: Live, pictures: Pictures) -> dict[str, Any]:
        return _cell(fields, observe(_spec(fields), live=live), pictures)

    def figure(self) -> Figure:
        """The first cell for print: the forgotten picture, and the recovered one at five steps."""
        seen = self.first
        assert seen is not None  # computed where it was not kept
        at = [round(i * (len(seen.steps) - 1) / 4) for i in range(5)]
        pictures = {
            "forgotten": seen.truth[:1],
            **{f"step {seen.steps[i]}": seen.frames[i][:1] for i in at},
        }
        return figures.pictures(pictures)
