"""A net as one sequence of its layers and blocks, so that it can be cut between any two (ours)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import replace
from io import StringIO
from typing import Any

import torch
from torch import fx, nn

from uninv_lib.anatomy import Anatomy, fitting, tried
from uninv_lib.models import logits
from uninv_lib.types import State


def in_sequence(anatomy: Anatomy, state: State) -> tuple[Anatomy, Mapping[str, str]]:
    """The same net as one sequence of its layers and blocks, and {name there: name in the net} of
    every parameter and buffer.

    It opens whatever runs its parts one after another, found by `torch.fx`, one in the other; a
    block whose parts need a value twice stays whole, and so does a net where the sequence gives
    something else.
    """
    net, state = anatomy.net, fitting(anatomy.net, state)
    stages = list(_stages(net, ""))
    learned = [layer for _, layer in stages if list(layer.parameters())]
    sequence = nn.Sequential(*(layer for _, layer in stages))
    sequence.training = net.training  # `train` would reach into the layers, which are the net's own
    names = {
        f"{i}.{n}": prefix + n
        for i, (prefix, layer) in enumerate(stages)
        for n in layer.state_dict()
    }
    inputs = tried(anatomy.input_shape, state)
    if len(stages) > 1 and len(set(learned)) == len(learned):
        silent = redirect_stderr(StringIO())  # where fx prints what it then raises
        with torch.no_grad(), silent, suppress(Exception):  # of whatever was traced wrongly
            same = logits(sequence, {name: state[old] for name, old in names.items()}, inputs)
            if torch.allclose(same, logits(net, state, inputs), rtol=1e-3, atol=1e-5):
                return _renamed(anatomy, sequence, names), names
    return anatomy, {name: name for name in state}


def _renamed(anatomy: Anatomy, sequence: nn.Module, names: Mapping[str, str]) -> Anatomy:
    known = {old.rpartition(".")[0]: name.rpartition(".")[0] for name, old in names.items()}
    last = None if anatomy.last is None else known[anatomy.last]
    layers, heads = (tuple(known[name] for name in n) for n in (anatomy.layers, anatomy.heads))
    return replace(anatomy, net=sequence, layers=layers, heads=heads, last=last)


def _stages(layer: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """What runs one after another in `layer`, and what the names inside it begin with."""
    parts = _parts(layer)
    if parts is None:
        yield prefix, layer
        return
    for name, part in parts:
        if name is None:
            yield prefix, part
        else:
            yield from _stages(part, f"{prefix}{name}.")


class _Shallow(fx.Tracer):
    """Looks into the layer itself alone."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _parts(layer: nn.Module) -> list[tuple[str | None, nn.Module]] | None:
    """A layer's own parts that run one after another, by name, and what it computes between them,
    without a name; None where it has no parts or is no such chain.
    """
    if type(layer).forward is nn.Sequential.forward:
        return [(name, part) for name, part in layer._modules.items() if part is not None]
    if not list(layer.children()) or list(layer.parameters(recurse=False)):
        return None
    try:
        graph = _Shallow().trace(layer)
    except Exception:  # whatever a forward may raise that meets a stand-in for its input
        return None
    parts: list[tuple[str | None, nn.Module]] = []
    for given, nodes, result in _segments(graph):
        if (
            len(nodes) == 1
            and result is nodes[0]
            and nodes[0].op == "call_module"
            and nodes[0].args == (given,)
        ):
            name = str(nodes[0].target)
            parts.append((name, layer.get_submodule(name)))
        elif any(_learns(layer, node) for node in nodes) and result is nodes[-1]:
            return None
        else:
            parts.append((None, _between(layer, given, nodes, result)))
    return parts


def _segments(graph: fx.Graph) -> Iterator[tuple[fx.Node, list[fx.Node], Any]]:
    """The computation cut wherever one value is all that is needed from there on: (that value, the
    nodes up to the next cut, what they give there; at the end it may be several values).
    """
    nodes = list(graph.nodes)
    place = {node: i for i, node in enumerate(nodes)}
    given, since = nodes[0], list[fx.Node]()
    for i, node in enumerate(nodes[1:-1], 1):
        since.append(node)
        needed = {n for n in nodes[: i + 1] if any(place[user] > i for user in n.users)}
        if needed == {node}:
            yield given, since, node
            given, since = node, []
    if since:
        yield given, since, nodes[-1].args[0]


def _learns(layer: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(list(layer.get_submodule(str(node.target)).parameters()))
    return node.op == "get_attr"


def _between(layer: nn.Module, given: fx.Node, nodes: Sequence[fx.Node], result: Any) -> nn.Module:
    """What the nodes compute of one value, as a layer."""
    graph = fx.Graph()
    known = {given: graph.placeholder("x")}
    for node in nodes:
        known[node] = graph.node_copy(node, known.__getitem__)
    graph.output(fx.node.map_arg(result, known.__getitem__))
    return fx.GraphModule(layer, graph)
