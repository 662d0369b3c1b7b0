"""What defenses share: the update of the parameters, and directions that the retained need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from uninv_lib.training import gradient
from uninv_lib.types import Split, State, Trained

ASKED, ALIKE = 32, 1e-10
"""Retained samples whose gradients are heeded, for all of a large net would not fit the memory; the
share of the longest direction's squared length below which one is taken for rounding (ours)."""


def update_of(unlearned: State, trained: Trained) -> dict[str, Tensor]:
    """unlearned − before, by the names of the parameters."""
    return {n: unlearned[n] - trained.state[n] for n, _ in trained.net.named_parameters()}


def released(unlearned: State, trained: Trained, update: Mapping[str, Tensor]) -> State:
    """The model before, moved by this update; buffers are the unlearned model's."""
    return {**unlearned, **{n: trained.state[n] + change for n, change in update.items()}}


def length(tensors: Iterable[Tensor]) -> Tensor:
    """The norm over all of them."""
    norm: Tensor = torch.stack([t.norm() for t in tensors]).norm()
    return norm


def share_below(tensors: Iterable[Tensor], share: float) -> Tensor | None:
    """The size that this share of all entries does not exceed; None for a share of no entry."""
    sizes = torch.cat([t.abs().flatten() for t in tensors])
    count = int(share * len(sizes))
    return sizes.kthvalue(count).values if count else None


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """One vector of all entries."""
    return torch.cat([t.flatten() for t in tensors])


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The vector cut into tensors of these names, shapes and types."""
    parts = vector.split([t.numel() for t in like.values()])
    return {
        n: part.reshape(t.shape).to(t) for part, (n, t) in zip(parts, like.items(), strict=True)
    }


def needed(trained: Trained, retain: Split, rng: torch.Generator) -> Tensor:
    """(n, parameters): the gradient of the model before for each of up to ASKED retained samples,
    drawn.
    """
    drawn = torch.randperm(len(retain), generator=rng)[:ASKED]
    each = [gradient(trained.net, trained.state, retain.take(i[None])) for i in drawn]
    size = sum(parameter.numel() for parameter in trained.net.parameters())
    rows = [flat(slopes.values()) for slopes in each]
    return torch.stack(rows) if rows else flat(trained.net.parameters()).new_zeros(0, size).detach()


def orthonormal(rows: Tensor) -> Tensor:
    """(directions, parameters): an orthonormal basis of what these rows span."""
    if not len(rows):
        return rows
    sizes, turn = torch.linalg.eigh((rows @ rows.T).double())
    kept = sizes > ALIKE * sizes[-1].clamp_min(torch.finfo(sizes.dtype).tiny)
    basis: Tensor = (turn[:, kept] / sizes[kept].sqrt()).T.to(rows) @ rows
    return basis
