"""Several nets that answer as one."""

from __future__ import annotations

import copy
from math import log

import torch
from torch import Tensor, nn

from uninv_lib.types import State

PREFIX = "members."


class Ensemble(nn.Module):
    """Copies of one net, the members; the logits are the log of the mean of their softmax."""

    def __init__(self, net: nn.Module, count: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(copy.deepcopy(net) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """(n, *input_shape) -> (n, classes)."""
        answers = torch.stack([member(x).log_softmax(1) for member in self.members])
        return answers.logsumexp(0) - log(len(self.members))


def joint_state(states: list[State]) -> State:
    """The state of an Ensemble whose members have these, in their order."""
    return {f"{PREFIX}{i}.{name}": t for i, s in enumerate(states) for name, t in s.items()}


def member_state(state: State, index: int) -> State:
    """The state of one member of an Ensemble, by the names of the member's own net."""
    own = f"{PREFIX}{index}."
    return {name.removeprefix(own): t for name, t in state.items() if name.startswith(own)}


def changed_member(net: nn.Module, before: State, after: State) -> int | None:
    """The member of an Ensemble that alone differs in two states; None where it is no Ensemble, or
    none differs or several do.
    """
    if not isinstance(net, Ensemble):
        return None
    pairs = (
        (member_state(before, i), member_state(after, i).values()) for i in range(len(net.members))
    )
    changed = [
        i for i, (own, then) in enumerate(pairs) if not all(map(torch.equal, own.values(), then))
    ]
    return changed[0] if len(changed) == 1 else None
