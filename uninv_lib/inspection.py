"""inspect_net(net, before, after): what the attacks understand of two models, before one is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from torch import nn

from uninv_lib.attacks import ATTACKS
from uninv_lib.attacks.inspection import Inspection, inspect_view
from uninv_lib.attacks.inspection.rounding import Moved, moved
from uninv_lib.attacks.search.layerwise import split_of
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.types import WhiteBoxView

WIDTH, LISTED = 79, 12
"""Columns of the report, and layers in it at most."""


@dataclass(frozen=True)
class Report:
    """What was understood; printed, it says it in words. request: as the attacks take it; layers:
    those that moved; parts: what the net is made of, by name; obstacles: of each attack on
    features, "" where nothing stands in its way.
    """

    request: Inspection
    layers: tuple[Moved, ...]
    parts: dict[str, str]
    obstacles: dict[str, str]

    def __str__(self) -> str:
        blocks = [
            _lines("Net", self.parts),
            _lines("Layers that moved", _of_layers(self.layers)),
            _lines(
                "Attacks", {n: why or "nothing in its way" for n, why in self.obstacles.items()}
            ),
            *([_listed("Remarks", self.request.remarks)] if self.request.remarks else []),
        ]
        return "\n\n".join(blocks)


def inspect_net(
    net: nn.Module,
    before: Any,
    after: Any,
    *,
    input_shape: tuple[int, ...],
    num_forgotten: int = 1,
    **assumptions: Any,
) -> Report:
    """What the attacks understand of a net and of its states before and after unlearning, from any
    library: the layer that makes the logits, where a search cuts the net, its norms, which layers
    moved and how far above rounding, the kind of step, and what stands in the way of each attack.

    input_shape: of one sample, whose values are in [0, 1]; assumptions: other fields of
    `WhiteBoxView`. Raises ValueError that names what no attack can work with, TypeError for an
    unknown assumption.
    """
    view = WhiteBoxView(net, before, after, input_shape, num_forgotten, **assumptions)
    request = inspect_view(view)
    layers = moved(request.view.before, request.view.after, request.noise)
    obstacles = {
        name: _refusal(attack.begin, request)
        for name, attack in ATTACKS.items()
        if attack.begin is not None
    }
    return Report(request, tuple(layers), _parts(request), obstacles)


def _refusal(begin: Callable[[Inspection], object], request: Inspection) -> str:
    try:
        begin(request)
    except ValueError as error:
        return str(error)
    return ""


def _parts(request: Inspection) -> dict[str, str]:
    net, anatomy = request.view.net, request.anatomy
    opened, names = in_sequence(anatomy, request.view.before)
    cut = split_of(opened.net)
    behind = [old for name, old in names.items() if cut and int(name.split(".")[0]) >= cut]
    kinds = Counter(type(layer).__name__ for layer in net.modules())
    norms = [f"{count} {kind}" for kind, count in kinds.items() if "Norm" in kind]
    count = sum(parameter.numel() for parameter in net.parameters())
    last = anatomy.last and f"{anatomy.last!r}, a {type(net.get_submodule(anatomy.last)).__name__}"
    return {
        "kind": f"{type(net).__name__}, {len(anatomy.layers)} layers, {count:,} parameters",
        "logits": f"made by {last}" if last else "made by no linear layer and no convolution",
        "norms": ", ".join(norms) or "none",
        "inputs": "normalised at most in front of the first layer"
        if anatomy.normalisation
        else "changed otherwise before the first layer",
        "cut": f"in front of {behind[0].rpartition('.')[0]!r}: the layers from there on are solved first"
        if behind
        else "none: the search is over the whole net at once",
        "step": "by the signs of the gradient" if request.signs else "along the gradient",
    }


def _of_layers(layers: tuple[Moved, ...]) -> dict[str, str]:
    said = {
        layer.name: f"by {layer.relative:.1e} of itself, {layer.above:.3g} times its rounding"
        for layer in layers[:LISTED]
    }
    rest = layers[LISTED:]
    if rest:
        lowest = min(layer.above for layer in rest)
        said["..."] = f"and {len(rest)} more, by {lowest:.3g} times their rounding at least"
    return said or {"none": "the two models are the same"}


def _lines(title: str, said: dict[str, str]) -> str:
    wide = max(map(len, said))
    return "\n".join(
        [title]
        + [
            fill(f"  {name:{wide}}  {words}", WIDTH, subsequent_indent=" " * (wide + 4))
            for name, words in said.items()
        ]
    )


def _listed(title: str, said: tuple[str, ...]) -> str:
    lines = [fill(f"  - {words}", WIDTH, subsequent_indent="    ") for words in said]
    return "\n".join([title, *lines])
