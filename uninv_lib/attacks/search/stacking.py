"""Records of tensors with the targets in front, which torch.func.vmap takes apart and rebuilds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Data = Any
"""Tensors, (targets, ...), or tuples, dictionaries and `stackable` records of such."""
Record = TypeVar("Record")


def stackable(record: type[Record]) -> type[Record]:
    """A class decorator for dataclasses whose fields are `Data`, None, or functions, which the
    targets of a stack share.
    """
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]

    def apart(one: Record) -> tuple[list[Data], tuple[tuple[str, ...], tuple[Any, ...]]]:
        held = {name: getattr(one, name) for name in names}
        there = tuple(n for n, part in held.items() if part is not None and not callable(part))
        shared = tuple((n, part) for n, part in held.items() if callable(part))
        return [held[name] for name in there], (there, shared)

    def rebuilt(parts: Any, context: Any) -> Record:
        there, shared = context
        return record(**dict(zip(there, parts, strict=True)), **dict(shared))

    pytree.register_pytree_node(record, apart, rebuilt)
    return record


def rows(data: Data, index: Tensor | slice | int | None) -> Data:
    """The data of some targets; with None, of one as a stack."""
    return pytree.tree_map(lambda part: part[index], data)


def joined(data: list[Data]) -> Data:
    """The data of all the targets of several that are `same_kind`."""
    return pytree.tree_map(lambda *parts: torch.cat(parts), *data)


def same_kind(first: Data, second: Data) -> bool:
    """Whether both hold the same fields of the same records."""
    return bool(pytree.tree_structure(first) == pytree.tree_structure(second))
