"""The names of tensors, as users' files have them: brought to those of the net."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import aliases
from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.attacks.search.update import difference
from uninv_lib.types import State

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer")
"""Parts of a name that torch.compile, FSDP, activation checkpointing and adapters put anywhere in
it."""
AROUND = (
    nn.DataParallel,
    nn.parallel.DistributedDataParallel,
    torch.optim.swa_utils.AveragedModel,
)
"""Modules that hold a net and give what it gives."""
HOLDERS = ("state_dict", "model_state_dict", "model", "net")
"""What checkpoints call the state among the other things that they keep."""


def named(reading: Reading) -> Reading:
    """The net without a wrapper around it, and both states, and θ_0, with its names.

    Raises ValueError where a state has no tensors for the net, or such as no attack computes with,
    TypeError where it is none.
    """
    view, net = reading.view, unwrapped(reading.view.net)
    given = {which: getattr(view, which) for which in ("before", "after", "pretrained")}
    states, said = dict[str, Any](), dict[str, list[str]]()
    for which, state in given.items():
        if state is not None or which != "pretrained":
            states[which], remarks = _renamed(state, net, which)
            for remark in remarks:
                said.setdefault(remark, []).append(which)
    sent = states["after"]
    for which in states:
        base = states["before"] if which == "after" else {}
        states[which], remarks = _completed(states[which], net, base, sent)
        for remark in remarks:
            said.setdefault(remark, []).append(which)
    other = aliases(net)
    states = {w: {n: t for n, t in s.items() if n not in other} for w, s in states.items()}
    remarks = [f"{', '.join(names)}: {remark}" for remark, names in said.items()]
    return reading.but(*remarks, view=replace(view, net=net, **states))


def matching(reading: Reading) -> Reading:
    """The same; raises ValueError that names a parameter which a state has not, or in another
    shape, or that is not finite.
    """
    view = reading.view
    difference(view.net, view.before, view.after)
    return reading


def unwrapped(net: nn.Module) -> nn.Module:
    """The net inside one of AROUND, or inside what torch.compile gives."""
    while len(list(net.children())) == 1 and not list(net.parameters(recurse=False)):
        name, inner = next(net.named_children())
        if name != "_orig_mod" and not isinstance(net, AROUND):
            break
        net = inner
    return net


def _renamed(state: Any, net: nn.Module, which: str) -> tuple[dict[str, Tensor], list[str]]:
    """The state with the names of the net, and what had to be understood for it."""
    own, remarks = net.state_dict(), list[str]()
    state, holder = _state_in(state, which)
    if holder:
        remarks.append(f"its {holder!r} is taken for the state")
    found, prefix, parts = _without_prefix(state, own)
    if prefix or parts:
        removed = ", ".join(map(repr, [*parts, *[prefix] * bool(prefix)]))
        remarks.append(f"{removed} passed over in the names of its tensors")
    extra = sorted(name for name in found.keys() - own.keys() if "lora_" not in name)
    if extra:
        remarks.append(f"{_listed(extra)} passed over, which the net does not have")
    if not found.keys() & own.keys():
        raise ValueError(
            f"{which}: tensors {_listed(sorted(found))}; allowed: {_listed(sorted(own))}"
        )
    return {n: _plain(t, f"{which}: {n!r}") for n, t in found.items() if n not in extra}, remarks


def _completed(
    state: dict[str, Tensor], net: nn.Module, base: State, other: State
) -> tuple[dict[str, Tensor], list[str]]:
    """The state with what it lacks: of `base` where that has it; else of the net, which was given
    with it, if it is no parameter or `other` lacks it, too.
    """
    state = state | _tied(state, net)
    parameters = dict(net.named_parameters())
    lacking = [name for name in net.state_dict() if name not in state]
    of_base = [name for name in lacking if name in base]
    of_net = [n for n in lacking if n not in base and (n not in parameters or n not in other)]
    state |= {name: base[name] for name in of_base}
    state |= {name: net.state_dict()[name] for name in of_net}
    remarks = [f"{_listed(of_base)} not in it, taken to be as before"] if of_base else []
    if of_net:
        remarks.append(f"{_listed(of_net)} not in it, taken from net")
    for name in parameters.keys() & state.keys():
        if not state[name].is_floating_point():
            kind = str(state[name].dtype).removeprefix("torch.")
            raise ValueError(f"{name!r} is {kind}; allowed of a parameter: floating point")
    return state, remarks


def _state_in(state: Any, which: str) -> tuple[Mapping[str, Tensor], str]:
    """The tensors by name, and under which name the checkpoint keeps them, "" where it is one."""
    if isinstance(state, nn.Module):
        return state.state_dict(), "state_dict()"
    if isinstance(state, Mapping):
        if state and all(isinstance(value, Tensor) for value in state.values()):
            return {str(name): tensor for name, tensor in state.items()}, ""
        for holder in HOLDERS:
            if isinstance(state.get(holder), (Mapping, nn.Module)):
                return _state_in(state[holder], which)[0], holder
    kind = type(state).__name__
    if isinstance(state, Mapping):
        kinds = (f"{name!r} (a {type(value).__name__})" for name, value in state.items())
        other = [kind for kind in kinds if not kind.endswith("(a Tensor)")]
        kind += f" that holds {_more(other)}" if state else " that is empty"
    raise TypeError(
        f"{which}: a {kind}; allowed: tensors by name, as state_dict() gives them, or a checkpoint "
        f"that holds them as {', '.join(map(repr, HOLDERS))}"
    )


def _plain(tensor: Tensor, what: str) -> Tensor:
    """The tensor with every entry as a number. Raises ValueError for a type that no attack computes
    with.
    """
    if tensor.is_quantized or tensor.layout != torch.strided:
        tensor = tensor.dequantize() if tensor.is_quantized else tensor.to_dense()
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_meta or tensor.is_complex() or kind.startswith("float8"):
        raise ValueError(
            f"{what} is {'on meta' if tensor.is_meta else kind}; allowed: float16, bfloat16, "
            "float32, float64, and whole numbers in buffers"
        )
    return tensor


def _without_prefix(
    state: Mapping[str, Tensor], own: Collection[str]
) -> tuple[dict[str, Tensor], str, list[str]]:
    """The state without the prefix under which most of the net's names stand in it, that, and which
    of WRAPPERS were in them.
    """
    mine = {part for name in own for part in name.split(".")}
    parts = [p for p in WRAPPERS if p not in mine and any(p in n.split(".") for n in state)]
    bare = {
        ".".join(part for part in name.split(".") if part not in parts): tensor
        for name, tensor in state.items()
    }
    prefixes = {""} | {
        name[: -len(mine)] for name in bare for mine in own if name.endswith(f".{mine}")
    }

    def hits(prefix: str) -> int:
        return sum(f"{prefix}{mine}" in bare for mine in own)

    best = max(sorted(prefixes), key=hits)
    return {name.removeprefix(best): tensor for name, tensor in bare.items()}, best, parts


def _tied(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """What is missing of the tensors that the net has under several names, of which files keep
    one.
    """
    shared: dict[int, list[str]] = {}
    for name, parameter in net.named_parameters(remove_duplicate=False):
        shared.setdefault(id(parameter), []).append(name)
    kept = {
        name: next((state[other] for other in names if other in state), None)
        for names in shared.values()
        for name in names
    }
    return {name: t for name, t in kept.items() if t is not None and name not in state}


def _listed(names: list[str]) -> str:
    return _more(list(map(repr, names)))


def _more(words: list[str]) -> str:
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
