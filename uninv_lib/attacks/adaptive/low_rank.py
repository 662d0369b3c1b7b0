"""What linear layers with a bias tell of a few forgotten samples: each adds a column times a row.

Sample k moves the weights of unit i by e_ki x_k and its bias by e_ki, so that the update [ΔW, Δb]
of such a layer is a matrix of rank k, whatever a defense made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import both
from uninv_lib.attacks.search.update import difference
from uninv_lib.types import WhiteBoxView

ROUNDS, TINY = 50, 1e-300
"""Of alternating least squares, which has converged long before (ours)."""


def linear_layers(view: WhiteBoxView) -> Iterator[tuple[str, str]]:
    """(weight, bias) of each linear layer that has both, by their names."""
    names = {name for name, _ in view.net.named_parameters()}
    for name, layer in view.net.named_modules():
        if isinstance(layer, nn.Linear) and set(both(name)) <= names:
            yield both(name)


def update_of(view: WhiteBoxView) -> dict[str, Tensor]:
    """after − before, by the names of the parameters, in float64."""
    return {n: u.double() for n, u in difference(view.net, view.before, view.after).items()}


def moved_by(view: WhiteBoxView, update: Mapping[str, Tensor]) -> WhiteBoxView:
    """The view with the model before, moved by this update where it names a parameter."""
    moved = {n: (view.before[n].double() + u).to(view.after[n]) for n, u in update.items()}
    return replace(view, after={**view.after, **moved})


def rows_of(update: Mapping[str, Tensor], names: tuple[str, str]) -> Tensor:
    """[ΔW, Δb] of a layer, (units, inputs + 1)."""
    weight, bias = (update[name] for name in names)
    return torch.cat([weight, bias[:, None]], 1)


def parts_of(rows: Tensor, names: tuple[str, str]) -> dict[str, Tensor]:
    """The same cut into weight and bias again."""
    return {names[0]: rows[:, :-1], names[1]: rows[:, -1]}


def nearest(rows: Tensor, rank: int) -> Tensor:
    """The nearest matrix of this rank."""
    left = torch.linalg.eigh((rows @ rows.T).double()).eigenvectors[:, -rank:].to(rows)
    near: Tensor = left @ (left.T @ rows)
    return near


def row_of(column: Tensor, entries: Tensor, remain: Tensor) -> Tensor:
    """x, (inputs,), of the matrix column xᵀ that fits the entries which remain, (units, inputs)."""
    weights = column.square() @ remain.to(column)
    row: Tensor = (column @ (entries * remain)) / weights.clamp_min(TINY)
    return row


def completed(entries: Tensor, remain: Tensor) -> Tensor:
    """The matrix of rank one that fits the entries which remain; 0 where none tell."""
    seen = entries * remain
    column = torch.linalg.eigh(seen @ seen.T).eigenvectors[:, -1]
    for _ in range(ROUNDS):
        row = row_of(column, entries, remain)
        column = row_of(row, entries.T, remain.T)
        column = column / column.norm().clamp_min(TINY)
    found: Tensor = column[:, None] * row_of(column, entries, remain)
    return found
