"""Which of a net's outputs are the logits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import fitting, tried
from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.types import State, WhiteBoxView

Output = str | int | Callable[[Any], Tensor]
"""A key, a position, or a function of what the net gives."""


class OneOutput(nn.Module):
    """A net, and of what it gives the one output."""

    def __init__(self, net: nn.Module, outputs: tuple[Output, ...]) -> None:
        super().__init__()
        self.net, self.outputs = net, outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *input_shape) -> (n, the widths of the outputs together)."""
        given = self.net(inputs)
        each = [chosen(given, output) for output in self.outputs]
        return each[0] if len(each) == 1 else torch.cat(each, 1)


def chosen(given: Any, output: Output) -> Tensor:
    """One output of what a net gives."""
    if callable(output):
        return output(given)
    found: Tensor = given[output]
    return found


def alone(given: Tensor) -> Tensor:
    """One logit a sample, (n,), or of one sample (), as (n, 1)."""
    return given.reshape(-1, 1)


@torch.no_grad()
def one_output(reading: Reading) -> Reading:
    """A net that gives the logits alone: the output that the view names, or else the first that is
    (n, classes) and enters no layer of the net, one that a layer gives before others, one whose
    layer moved before all.

    Of one forgotten sample another output whose own layer moved is taken beside it, a second head
    with a loss of its own. Raises ValueError where there is no such output.
    """
    view = reading.view
    state = fitting(view.net, view.before)
    run = _run(copy.deepcopy(view.net).eval(), state, tried(view.input_shape, state))
    if isinstance(run.given, Tensor) and view.output is None:
        if run.given.ndim != 1:
            _fit(view, run.given)
            return reading
        own = view.loss
        loss = (lambda z, labels: own(z[:, 0], labels)) if callable(own) else own
        view = replace(view, output=alone, loss=loss)
    tables = run.tables()
    made = [name for name in tables if run.layers_of(name)]
    made.sort(key=lambda name: not run.moved(name, view))
    name = next(iter(made or tables), None) if view.output is None else view.output
    if not callable(name) and name not in run.outputs():
        raise ValueError(
            f"output: {name!r} of a net that gives {_described(run.given)}; allowed: the key or "
            "position of a tensor (n, classes), or a function that gives it"
        )
    _fit(view, chosen(run.given, name))
    beside = [other for other in made if other != name and run.moved(other, view)]
    beside = beside if view.num_forgotten == 1 and name in made else []
    remarks = [f"net: gives {_described(run.given)}; output={name!r} is taken for the logits"]
    remarks = remarks if view.output is None else []
    if beside:
        others = ", ".join(map(repr, beside))
        remarks.append(f"net: the layers of its outputs {others} moved, too; all are matched")
    net = OneOutput(view.net, (name, *beside)).train(view.net.training)
    states: dict[str, Any] = {
        which: {f"net.{n}": t for n, t in getattr(view, which).items()}
        for which in ("before", "after", "pretrained")
        if getattr(view, which) is not None
    }
    return reading.but(*remarks, view=replace(view, net=net, output=None, **states))


@dataclass(frozen=True)
class _Run:
    """given: by the net to n inputs; layers: (name, what entered, what it gave) of each call."""

    given: Any
    inputs: Tensor
    layers: list[tuple[str, Any, Any]]

    def outputs(self) -> dict[str | int, Any]:
        """All that the net gives, by key or position."""
        if isinstance(self.given, Mapping):
            return dict(self.given)
        return dict(enumerate(self.given)) if isinstance(self.given, (tuple, list)) else {}

    def tables(self) -> dict[str | int, Tensor]:
        """Those that are (n, classes) and enter no layer."""
        entered = [t for _, given, _ in self.layers for t in given]
        return {
            name: t
            for name, t in self.outputs().items()
            if isinstance(t, Tensor)
            and t.is_floating_point()
            and t.ndim == 2
            and len(t) == len(self.inputs)
            and not any(t is other for other in entered)
        }

    def layers_of(self, output: str | int) -> list[str]:
        """The layers that give this output."""
        return [name for name, _, given in self.layers if given is self.tables()[output]]

    def moved(self, output: str | int, view: WhiteBoxView) -> bool:
        """Whether unlearning moved the bias of the layer that gives this output."""
        names = [f"{layer}.bias" for layer in self.layers_of(output)]
        biases = [name for name in names if name in view.after]
        return any(not torch.equal(view.before[bias], view.after[bias]) for bias in biases)


def _run(net: nn.Module, state: State, inputs: Tensor) -> _Run:
    calls: list[tuple[str, Any, Any]] = []
    names = {layer: name for name, layer in net.named_modules() if name}
    handles = [
        layer.register_forward_hook(lambda own, *call: calls.append((names[own], *call)))
        for layer in names
    ]
    try:
        given = torch.func.functional_call(net, dict(state), (inputs,))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"net: of inputs {tuple(inputs.shape)} it says: {error}; allowed: a net that takes "
            "(n, *input_shape) and nothing else"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return _Run(given, inputs, calls)


def _fit(view: WhiteBoxView, given: Any) -> None:
    """Refuses logits that are no table, and labels that are none of its columns."""
    if not isinstance(given, Tensor) or given.ndim != 2:
        raise ValueError(
            f"net: gives {_described(given)}; allowed: logits, a tensor (n, classes), or output= a "
            "function that gives them"
        )
    labels, classes = view.labels, given.shape[1]
    if labels is None or callable(view.loss) or view.loss == "mse":
        return
    if labels.ndim == 2 and labels.shape[1] != classes:
        raise ValueError(f"labels: {labels.shape[1]} a sample; allowed: one, or {classes}")
    if labels.ndim == 1 and (labels.min() < 0 or labels.max() >= max(2, classes)):
        raise ValueError(f"labels: {labels.tolist()}; allowed: 0 to {max(2, classes) - 1}")


def _described(given: Any) -> str:
    """Of what kind it is, and of which shapes."""
    if isinstance(given, Tensor):
        return f"a tensor (n, {', '.join(map(str, given.shape[1:]))})"
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{k!r}: {_described(v)}" for k, v in given.items()) + "}"
    if isinstance(given, (tuple, list)):
        return f"({', '.join(_described(part) for part in given)})"
    return f"a {type(given).__name__}"
