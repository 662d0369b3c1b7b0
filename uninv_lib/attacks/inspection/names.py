"""The names of tensors, as users' files have them: brought to those of the net."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from uninv_lib.attacks.inspection.result import Reading
from uninv_lib.types import State

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of a name that torch.compile, FSDP and activation checkpointing put anywhere in it."""
HOLDERS = ("state_dict", "model_state_dict", "model", "net")
"""What checkpoints call the state among the other things that they keep."""


def named(reading: Reading) -> Reading:
    """The net without a wrapper around it, and both states, and θ_0, with its names.

    Raises ValueError where a state has no tensors for the net, TypeError where it is none.
    """
    view, net = reading.view, unwrapped(reading.view.net)
    reading = reading.but(view=replace(view, net=net))
    for which in ("before", "after", "pretrained"):
        state = getattr(view, which)
        if state is not None:
            renamed, remarks = _fitted(state, net, which)
            reading = reading.but(*remarks, view=replace(reading.view, **{which: renamed}))
    return reading


def unwrapped(net: nn.Module) -> nn.Module:
    """The net inside DataParallel and its kind, or inside what torch.compile gives."""
    while len(list(net.children())) == 1 and not list(net.parameters(recurse=False)):
        name, inner = next(net.named_children())
        parallel = isinstance(net, (nn.DataParallel, nn.parallel.DistributedDataParallel))
        if name != "_orig_mod" and not parallel:
            break
        net = inner
    return net


def _fitted(state: Any, net: nn.Module, which: str) -> tuple[State, list[str]]:
    """The state with the names of the net, and what had to be understood for it."""
    own, remarks = net.state_dict(), list[str]()
    state, holder = _state_in(state, which)
    if holder:
        remarks.append(f"{which}: its {holder!r} is taken for the state")
    found, prefix = _without_prefix(state, own)
    if found.keys() != state.keys():
        removed = repr(prefix) if prefix else " and ".join(map(repr, WRAPPERS))
        remarks.append(f"{which}: {removed} is passed over in the names of its tensors")
    extra = sorted(found.keys() - own.keys())
    if extra and not _paired(extra):
        remarks.append(f"{which}: {_listed(extra)} passed over, which the net does not have")
        found = {name: tensor for name, tensor in found.items() if name in own}
    found |= _tied(found, net)
    lacking = sorted(own.keys() - found.keys() - dict(net.named_parameters()).keys())
    if lacking:
        remarks.append(f"{which}: {_listed(lacking)} missing; the net's own are taken")
        found |= {name: own[name] for name in lacking}
    return found, remarks


def _state_in(state: Any, which: str) -> tuple[Mapping[str, Tensor], str]:
    """The tensors by name, and under which name the checkpoint keeps them, "" where it is one."""
    if isinstance(state, nn.Module):
        return state.state_dict(), "state_dict()"
    if isinstance(state, Mapping):
        if state and all(isinstance(value, Tensor) for value in state.values()):
            return state, ""
        for holder in HOLDERS:
            if isinstance(state.get(holder), (Mapping, nn.Module)):
                return _state_in(state[holder], which)[0], holder
    kind = type(state).__name__
    raise TypeError(f"{which}: a {kind}; allowed: tensors by name, as state_dict() gives them")


def _without_prefix(
    state: Mapping[str, Tensor], own: Collection[str]
) -> tuple[dict[str, Tensor], str]:
    """The state without the prefix under which most of the net's names stand in it, and that."""
    bare = {
        ".".join(part for part in name.split(".") if part not in WRAPPERS): tensor
        for name, tensor in state.items()
    }
    prefixes = {""} | {
        name[: -len(mine)] for name in bare for mine in own if name.endswith(f".{mine}")
    }

    def hits(prefix: str) -> int:
        return sum(f"{prefix}{mine}" in bare for mine in own)

    best = max(sorted(prefixes), key=hits)
    return {name.removeprefix(best): tensor for name, tensor in bare.items()}, best


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


def _paired(names: Collection[str]) -> bool:
    return any("lora_" in name for name in names)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more
