"""Draw, forget, leak: the reader's own drawing is learned, forgotten and recovered, all in the
page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from uninv_lib import figures
from uninv_lib.anatomy import anatomy_of
from uninv_lib.attacks import recover_features
from uninv_lib.data import load
from uninv_lib.defenses import DEFENSES
from uninv_lib.experiment import run
from uninv_lib.scene import prepare, pretrain
from uninv_lib.widgets.base import FOLDER, Live, Pictures, Widget, module, spec_of
from uninv_lib.widgets.presentation import strengths

FIXED: dict[str, Any] = {"dataset": "digits", "width": 4, "device": "cpu"}
FRESH: dict[str, Any] = {
    "model": "linear",
    "method": "gradient_ascent",
    "rate": 1e-3,
    "size": 32,
    "defense": "none",
    "strength": 0,
    "seed": 1,  # of a defense's noise
    "knows": True,
}
AXES: dict[str, list[Any]] = {
    "rate": [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1],
    "size": [1, 2, 4, 8, 16, 32, 64, 128],
}
METHODS = ["retrain", "gradient_ascent"]
"""Those of the paper, which the page is about."""
STRENGTHS: dict[str, list[Any]] = {
    "obfuscation": [0.1, 0.3, 0.5, 1, 2, 3, 5, 10],
    "pruning": [0.1, 0.2, 0.3, 0.5, 0.7, 0.9],
    "fine_tuning": [1, 2, 3, 5, 10],
}
"""What a page computes in a blink; of other defenses, the examples of their option."""
RETAINED, LEVELS = 127, 16  # with the drawing a full batch; shades of grey in the data set
KNOWING = (
    "gain_adaptive",
    "psnr_adaptive",
    "label_accuracy_adaptive",
)  # where a better attacker is known
SHOWN = (
    "gain",
    "psnr",
    "label_accuracy",
    "test_accuracy_before",
    "test_accuracy_released",
    *KNOWING,
)


def _grey(inputs: Tensor) -> bytes:
    return (inputs * LEVELS).round().to(torch.uint8).numpy().tobytes()


class DrawForgetLeak(Widget):
    """The reader draws a digit; the page learns it among others, forgets it, and recovers it from
    the difference.

    Nothing is precomputed but the pretraining: the state holds θ_0 of a linear net and of one with
    32 hidden units, float32, 127 private digits to retain, 300 to test on, and a sample drawing of
    each class. The page computes in double precision. It opens on `fresh` and offers those of the
    methods in `axes` that it can compute, see js/engine.js. live: (Spec, *, progress, watch) ->
    Record, the same settings on a private digit.
    """

    _esm = module("engine", "held", "pad", "why", "words", "bench", "draw")
    _css = "\n".join(
        (FOLDER / f"{name}.css").read_text(encoding="utf-8") for name in ("widgets", "draw")
    )
    weights = traitlets.Bytes().tag(sync=True)
    layers = traitlets.Dict().tag(sync=True)
    digits = traitlets.Bytes().tag(sync=True)
    labels: traitlets.List[int] = traitlets.List().tag(sync=True)
    parts = traitlets.Dict().tag(sync=True)
    mean = traitlets.Float().tag(sync=True)
    std = traitlets.Float().tag(sync=True)
    lr = traitlets.Float(1e-3).tag(sync=True)
    fresh = traitlets.Dict(FRESH).tag(sync=True)
    axes = traitlets.Dict().tag(sync=True)
    strengths = traitlets.Dict().tag(sync=True)

    def __init__(self, *, live: Live | None = run) -> None:
        data = load("digits")
        layers, weights = {}, b""
        for name in ("linear", "mlp"):
            net, state = pretrain(spec_of(FIXED, {"model": name}))
            parameters = [state[key] for key, _ in net.named_parameters()]
            layers[name] = [list(tensor.shape) for tensor in parameters if tensor.ndim > 1]
            weights += b"".join(tensor.float().numpy().tobytes() for tensor in parameters)
        rest = data.private.labels[RETAINED:]
        samples = RETAINED + torch.stack(
            [(rest == label).nonzero()[0, 0] for label in range(data.num_classes)]
        )
        splits = {
            "retain": data.private.take(torch.arange(RETAINED)),
            "test": data.test,
            "samples": data.private.take(samples),
        }
        parts, start = {}, 0
        for name, split in splits.items():
            parts[name] = [start, start + len(split)]
            start += len(split)
        mean, std = anatomy_of(net, data.input_shape, state).affine()  # the same for each pixel
        super().__init__(
            live=live,
            axes={**AXES, "method": METHODS, "defense": list(DEFENSES)},
            strengths={name: STRENGTHS.get(name) or strengths(name) for name in DEFENSES},
            weights=weights,
            layers=layers,
            digits=b"".join(_grey(split.inputs) for split in splits.values()),
            labels=[label for split in splits.values() for label in split.labels.tolist()],
            parts=parts,
            mean=mean.flatten()[0].item(),
            std=std.flatten()[0].item(),
        )

    def cell_of(self, fields: Mapping[str, Any], live: Live, pictures: Pictures) -> dict[str, Any]:
        found = live(spec_of(FIXED, fields)).metrics
        return {"metrics": {name: found[name] for name in SHOWN if name in found}}

    def figure(self) -> Figure:
        """The message for print: a forgotten digit, and what leaks without a defense and under
        obfuscation.
        """
        plain = {**FIXED, "model": "linear", "request": 3}
        pictures: dict[str, Tensor] = {}
        for name, strength in (("no defense", 0.0), ("obfuscation 1", 1.0), ("obfuscation 5", 5.0)):
            defended = {"defense": "obfuscation", "strength": strength}
            scene = prepare(spec_of(plain, defended if strength else {}))
            found = recover_features(scene.white_box(), rng=torch.Generator().manual_seed(0))
            pictures = pictures or {"forgotten": scene.forget.inputs}
            pictures[name] = found.inputs
        return figures.pictures(pictures)
