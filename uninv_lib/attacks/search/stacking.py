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


SHARED = {"shared": True}
"""The metadata of a field that the targets of a stack share, such as a function."""


def stackable(record: type[Record]) -> type[Record]:
    """A class decorator for dataclasses whose fields are `Data`, None, or SHARED."""
    every = fields(record)  # type: ignore[arg-type]
    names = [one.name for one in every if one.metadata != SHARED]
    common = [one.name for one in every if one.metadata == SHARED]

    def apart(one: Record) -> tuple[list[Data], tuple[list[str], list[Any]]]:
        there = [name for name in names if getattr(one, name) is not None]
        return [getattr(one, name) for name in there], (there, [getattr(one, n) for n in common])

    def rebuilt(parts: Any, context: Any) -> Record:
        there, functions = context
        own = dict(zip(there, parts, strict=True))
        return record(**own, **dict(zip(common, functions, strict=True)))

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
