"""What any net is made of, found by running it: its layers in the order in which they are called,
the one that makes the logits, and how inputs are normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise, permutations
from math import prod

import torch
from torch import Tensor, nn

from uninv_lib.models import logits
from uninv_lib.types import State, WhiteBoxView


def within(layer: str, name: str) -> str:
    """The name in the whole net of what has this name in a layer; "" is the net itself."""
    return f"{layer}.{name}" if layer else name


def both(layer: str) -> tuple[str, str]:
    """The names of a layer's weight and bias."""
    return within(layer, "weight"), within(layer, "bias")


@dataclass(frozen=True)
class Anatomy:
    """layers: those with parameters of their own, in the order in which they are called; last: the
    one that makes the logits, a linear one or a convolution whose positions are then pooled, if
    there is such; heads: those whose outputs are the logits, side by side, with nothing after them,
    the first being `last`; starts_dense: whether the first is linear with bias and takes a row a
    sample; dense: whether all are so, with a ReLU between two and nothing else; normalisation:
    (mean, scale), each input_shape, where (inputs − mean) / scale is what reaches the first layer.
    """

    net: nn.Module
    input_shape: tuple[int, ...]
    layers: tuple[str, ...]
    last: str | None
    heads: tuple[str, ...]
    starts_dense: bool
    dense: bool
    normalisation: tuple[Tensor, Tensor] | None

    @property
    def classifier(self) -> str:
        """The name of the layer that makes the logits.

        The update of its bias is the output error, softmax − onehot. Raises ValueError where there
        is none.
        """
        if self.last is None:
            raise ValueError(
                "net: no linear layer and no convolution; allowed: one of them last, or attack "
                "'paper' with labels"
            )
        return self.last

    @property
    def linear(self) -> str:
        """The same of a linear layer. Raises ValueError for another."""
        if self.last is None or not isinstance(self.net.get_submodule(self.last), nn.Linear):
            raise ValueError("net: no linear layer; allowed: a classifier that ends in one")
        return self.last

    @property
    def head(self) -> tuple[str, str]:
        """The names of the weight and the bias of `linear`. Raises ValueError where they are no
        parameters of its own, as without a bias or under weight_norm.
        """
        if not _plain(self.net.get_submodule(self.linear)):
            raise ValueError(
                "net: its last linear layer has no weight and bias that are parameters; allowed: "
                "a classifier that ends in Linear with bias, without a parametrisation"
            )
        return both(self.linear)

    def affine(self) -> tuple[Tensor, Tensor]:
        """(mean, scale) of the normalisation. Raises ValueError where there is none to undo."""
        if self.normalisation is None:
            raise ValueError(
                "net: what reaches its first layer is not (inputs − mean) / scale; allowed: a net "
                "that begins so"
            )
        return self.normalisation

    def inputs_of(self, entered: Tensor) -> Tensor:
        """The inputs, (n, *input_shape) in [0, 1], that reach the first layer as `entered`,
        (n, inputs).
        """
        mean, scale = self.affine()
        return (entered.to(mean).reshape(-1, *self.input_shape) * scale + mean).clamp(0, 1)


def anatomy_of(net: nn.Module, input_shape: tuple[int, ...], state: State | None = None) -> Anatomy:
    """The anatomy of a net that takes (n, *input_shape), with this state, its own without; draws
    from no global generator. Raises ValueError where it gives no tensor.
    """
    state = fitting(net, state or {})
    inputs = tried(input_shape, state)
    calls, output = _calls(net, state, inputs)
    made = [call for call in calls if isinstance(call.layer, (nn.Linear, nn.Conv2d))]
    heads = _heads(made, output)
    last = heads[0] if heads else (made[-1] if made else None)
    learned = [call for call in calls if list(call.layer.parameters(recurse=False))]
    return Anatomy(
        net,
        tuple(input_shape),
        tuple(dict.fromkeys(call.name for call in learned)),
        None if last is None else last.name,
        tuple(head.name for head in heads),
        starts_dense=_dense(learned[:1]) and [c.name for c in learned].count(learned[0].name) == 1,
        dense=_dense(learned) and _same(learned[-1].given, output),
        normalisation=_normalisation(inputs, calls, state),
    )


def anatomy_of_view(view: WhiteBoxView) -> Anatomy:
    """That of the model before."""
    return anatomy_of(view.net, view.input_shape, view.before)


def met(net: nn.Module, state: State, layer: str, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(what entered a layer when it was first called, what it gave, the logits)."""
    caught: list[tuple[Tensor, Tensor]] = []
    handle = net.get_submodule(layer).register_forward_hook(
        lambda _, entered, given: caught.append((entered[0], given))
    )
    try:
        output = logits(net, state, inputs)
    finally:
        handle.remove()
    return *caught[0], output


def features_of(net: nn.Module, state: State, layer: str, inputs: Tensor) -> Tensor:
    """What reaches the linear layer `layer`, (n, features)."""
    return met(net, state, layer, inputs)[0]


def joined(state: State, names: tuple[str, str]) -> Tensor:
    """[W, b] of a linear layer, (classes, features + 1), float64 on the CPU."""
    weight, bias = (state[name].detach().cpu().double() for name in names)
    return torch.cat([weight, bias[:, None]], 1)


@torch.no_grad()
def entered(anatomy: Anatomy, state: State, inputs: Tensor) -> Tensor:
    """[h, 1] for each input, h being what reaches the last linear layer: (n, features + 1), float64
    on the CPU.
    """
    parts = [features_of(anatomy.net, state, anatomy.linear, x) for x in inputs.split(512)]
    features = torch.cat(parts).cpu().double()
    return torch.cat([features, features.new_ones(len(features), 1)], 1)


# The calls of one run


@dataclass(frozen=True)
class _Call:
    name: str
    layer: nn.Module
    entered: Tensor
    given: Tensor


def aliases(net: nn.Module) -> set[str]:
    """The names, but the first one, of tensors that the net has under several."""
    tensors = (*net.named_parameters(), *net.named_buffers())
    return net.state_dict().keys() - {name for name, _ in tensors}


def fitting(net: nn.Module, state: State) -> dict[str, Tensor]:
    """The net's own state, with what fits of another; who uses that one names what does not."""
    other = aliases(net)
    return {
        name: state[name] if name in state and state[name].shape == own.shape else own
        for name, own in net.state_dict().items()
        if name not in other
    }


def tried(input_shape: tuple[int, ...], state: State) -> Tensor:
    """(5, *input_shape): all 0, all 1/2, all 1, and two of noise."""
    rng = torch.Generator().manual_seed(0)
    plain = torch.tensor([0.0, 0.5, 1.0]).reshape(3, *[1] * len(input_shape))
    noise = torch.rand(2, *input_shape, generator=rng)
    inputs = torch.cat([plain.expand(3, *input_shape), noise])
    return inputs.to(next((t for t in state.values() if t.is_floating_point()), inputs))


@torch.no_grad()
def _calls(net: nn.Module, state: State, inputs: Tensor) -> tuple[list[_Call], Tensor]:
    """The calls of layers that have parameters of their own or no layers inside, in their order,
    and the logits.
    """
    names = {layer: name for name, layer in net.named_modules()}
    calls: list[_Call] = []

    def note(layer: nn.Module, entered: tuple[Tensor, ...], given: Tensor) -> None:
        if entered and isinstance(entered[0], Tensor) and isinstance(given, Tensor):
            calls.append(_Call(names[layer], layer, entered[0], given.clone()))

    handles = [
        layer.register_forward_hook(note)
        for layer in names
        if list(layer.parameters(recurse=False)) or not list(layer.children())
    ]
    try:
        output = logits(net, state, inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor):
        kind = type(output).__name__
        raise ValueError(f"net: gives a {kind}; allowed: logits, a tensor (n, classes)")
    return calls, output


def _heads(made: Sequence[_Call], output: Tensor) -> list[_Call]:
    """The calls that make the logits, side by side; none where they are made otherwise."""
    heads, rest = list[_Call](), output
    if output.ndim < 2:
        return heads
    while not heads or rest.shape[1:].numel():
        parts = ((call, rest[:, : call.given.shape[1]]) for call in reversed(made))
        head = next((call for call, part in parts if _same(call.given, part)), None)
        if head is None:
            return []
        heads.append(head)
        rest = rest[:, head.given.shape[1] :]
    return heads


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first, second)


def _plain(layer: nn.Module) -> bool:
    """Whether a weight and a bias are parameters of this layer itself."""
    return {"weight", "bias"} <= {name for name, _ in layer.named_parameters(recurse=False)}


def _dense(calls: Sequence[_Call]) -> bool:
    """Whether these are linear with bias, take a row a sample, each what the one before gave behind
    a ReLU.
    """
    linear = [
        isinstance(call.layer, nn.Linear) and _plain(call.layer) and call.entered.ndim == 2
        for call in calls
    ]
    return (
        all(linear)
        and bool(calls)
        and all(_same(upper.entered, lower.given.relu()) for lower, upper in pairwise(calls))
    )


# Normalisation


def _normalisation(
    inputs: Tensor, calls: Sequence[_Call], state: State
) -> tuple[Tensor, Tensor] | None:
    """(mean, scale): as a layer in front of the first with parameters says it exactly in its two
    buffers, or by how what reaches that one depends on the inputs, elementwise.
    """
    learned = [i for i, call in enumerate(calls) if list(call.layer.parameters(recurse=False))]
    if not learned:
        return None
    first, shape = calls[learned[0]], inputs.shape[1:]
    for call in calls[: learned[0]]:
        if _same(call.given.flatten(1), first.entered.flatten(1)) and call.entered is inputs:
            buffers = [state[within(call.name, n)] for n, _ in call.layer.named_buffers()]
            for mean, scale in permutations(buffers, 2) if len(buffers) == 2 else ():
                with suppress(RuntimeError):  # shapes that do not go together
                    if torch.equal((inputs - mean) / scale, call.given):
                        return mean.expand(1, *shape)[0], scale.expand(1, *shape)[0]
    return _probed(inputs.flatten(1), first.entered.flatten(1), shape)


def _probed(
    inputs: Tensor, reached: Tensor, shape: tuple[int, ...]
) -> tuple[Tensor, Tensor] | None:
    """The same from what inputs of 0, 1/2, 1 and noise become, all (5, values)."""
    if reached.shape[1] != prod(shape) or not reached.is_floating_point():
        return None
    slope, offset = reached[2] - reached[0], reached[0]
    exact = torch.finfo(reached.dtype).eps ** 0.5
    straight = torch.allclose(offset + inputs * slope, reached, rtol=exact, atol=exact)
    if not straight or not slope.all():
        return None
    return (-offset / slope).reshape(shape), (1 / slope).reshape(shape)
