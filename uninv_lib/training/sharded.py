"""The private training of SISA: an ensemble, each member of which knows one shard of the samples.

Bourtoule et al. 2021, "Machine Unlearning": sharded, isolated, sliced, aggregated.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from uninv_lib.models.ensemble import Ensemble, joint_state, member_state
from uninv_lib.training.sgd import fine_tune
from uninv_lib.types import Recipe, Recorded, Split, State


def sharded(
    recipe: Recipe,
    private: Split,
    *,
    rng: torch.Generator,
    history: list[Recorded] | None = None,
    shards: Annotated[int, Field(ge=1, le=1000, description="members of the ensemble")] = 4,
    slices: Annotated[
        int, Field(ge=1, le=1000, description="stages in which a member learns its shard")
    ] = 1,
) -> State:
    """Each member of the ensemble, trained from θ_0 on its own shard, slice by slice; the recipe is
    one that `expanded` gave.

    A stage is an epoch of SGD on all slices up to it, which makes (slices + 1) / 2 times
    the sample gradients of one stage. What shard and slice a sample belongs to follows from its
    content. Raises ValueError where the net is no Ensemble of so many members.
    """
    count = len(recipe.net.members) if isinstance(recipe.net, Ensemble) else 0
    if count != shards:
        came = f"an Ensemble of {count}" if count else type(recipe.net).__name__
        raise ValueError(f"net: {came}; allowed: an Ensemble of shards = {shards}, see `fitted`")
    shard, _ = places(private, shards, slices).T
    return joint_state(
        [
            learn(recipe, own, i, rng=rng, slices=slices, history=history)
            for i, own in enumerate(private.take(shard == i) for i in range(shards))
        ]
    )


def learn(
    recipe: Recipe,
    own: Split,
    shard: int,
    *,
    rng: torch.Generator,
    slices: int,
    start: int = 0,
    state: State | None = None,
    history: list[Recorded] | None = None,
) -> State:
    """The state of one member that learns its shard's samples `own` from slice `start` on, from
    `state`, θ_0 without.
    """
    net, shards = _members(recipe.net)[shard], len(_members(recipe.net))
    state = member_state(recipe.pretrained, shard) if state is None else state
    part = places(own, shards, slices)[:, 1]
    for i in range(start, slices):
        before, known = state, own.take(part <= i)
        state = fine_tune(
            net,
            before,
            known,
            rng=rng,
            lr=recipe.lr,
            batch_size=recipe.batch_size,
        )
        if history is not None:
            history.append(Recorded(known, before, state, (shard, i)))
    return state


def expanded(recipe: Recipe) -> Recipe:
    """The recipe of an ensemble whose members have the recipe's net and its θ_0."""
    shards = recipe.options["shards"]
    net = Ensemble(recipe.net, shards).eval()
    return replace(recipe, net=net, pretrained=joint_state([recipe.pretrained] * shards))


def fingerprints(split: Split) -> list[int]:
    """A number of 64 bits for each sample, from its content alone: the same in float32 and float64,
    on any device.
    """
    rows = split.inputs.detach().flatten(1).cpu().double().numpy()
    labels = split.labels.cpu().numpy()
    return [
        int.from_bytes(hashlib.sha256(x.tobytes() + y.tobytes()).digest()[:8], "big")
        for x, y in zip(rows, labels, strict=True)
    ]


def places(split: Split, shards: int, slices: int) -> Tensor:
    """(n, 2): the shard and the slice of each sample."""
    found = [(number % shards, number // shards % slices) for number in fingerprints(split)]
    return torch.tensor(found, dtype=torch.long, device=split.labels.device).reshape(-1, 2)


def _members(net: nn.Module) -> nn.ModuleList:
    assert isinstance(net, Ensemble)
    return net.members
