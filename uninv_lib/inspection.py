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
from uninv_lib.attacks.inspection.result import Moved
from uninv_lib.attacks.search.layerwise import split_of
from uninv_lib.attacks.search.sequence import in_sequence
from uninv_lib.types import WhiteBoxView

WIDTH, LISTED = 66, 12
"""Columns of the report, and layers in it at most."""


@dataclass(frozen=True)
class Report:
    """What was understood; printed, it says it in words. request: as the attacks take it; parts:
    what the net is made of, by name; obstacles: of each attack on
    features, "" where nothing stands in its way.
    """

    request: Inspection
    parts: dict[str, str]
    obstacles: dict[str, str]

    def __str__(self) -> str:
        blocks = [
            _lines("Net", self.parts),
            _lines("Layers that moved", _of_layers(self.request.moved)),
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
    obstacles = {
        name: _refusal(attack.begin, request)
        for name, attack in ATTACKS.items()
        if attack.begin is not None
    }
    return Report(request, _parts(request), obstacles)


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
    return {
        "kind": f"{type(net).__name__}, {len(anatomy.layers)} layers, {count:,} parameters",
        "logits": _logits(request),
        "norms": ", ".join(norms) or "none",
        "inputs": "normalised at most in front of the first layer"
        if anatomy.normalisation
        else "changed otherwise before the first layer",
        "cut": f"in front of {_layer_of(behind[0])!r}, from where on the layers are solved first"
        if behind
        else "none: the search is over the whole net at once",
        "step": "by the signs of the gradient" if request.signs else "along the gradient",
    }


def _logits(request: Inspection) -> str:
    anatomy = request.anatomy
    if anatomy.last is None:
        return "made by no linear layer and no convolution"
    kind = type(request.view.net.get_submodule(anatomy.last)).__name__
    if not anatomy.heads:
        return f"made of what {anatomy.last!r}, a {kind}, gives"
    others = "".join(f" and {head!r}" for head in anatomy.heads[1:])
    return f"what {anatomy.last!r}, a {kind},{others} gives"


def _layer_of(name: str) -> str:
    return name.rpartition(".")[0]


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
