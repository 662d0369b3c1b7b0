"""A function's keyword-only parameters -> its options: typed, bounded and described where it
stands.

An option is a keyword-only parameter whose annotation carries a pydantic Field:
`strength: Annotated[float, Field(gt=0, description="...")]`. Others, such as `rng`, are none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from uninv_lib.types import unknown


@lru_cache(maxsize=256)
def options_of(function: Callable[..., object]) -> Mapping[str, FieldInfo]:
    """The options of a method, by name: annotation, bounds, default, description, examples."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: _field(hints[name], parameter.default)
        for name, parameter in signature(function).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY and _has_field(hints.get(name))
    }


def _has_field(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated and any(
        isinstance(part, FieldInfo) for part in get_args(annotation)
    )


def _field(annotation: Any, default: Any) -> FieldInfo:
    if default is Parameter.empty:
        return FieldInfo.from_annotation(annotation)
    return FieldInfo.from_annotated_attribute(annotation, default)


@lru_cache(maxsize=256)
def model_of(function: Callable[..., object]) -> type[BaseModel]:
    """A model of a method's options, which validates them and refuses all others."""
    fields: dict[str, Any] = {n: (f.annotation, f) for n, f in options_of(function).items()}
    strict = ConfigDict(extra="forbid", allow_inf_nan=False)
    return create_model("Options", __config__=strict, **fields)


@dataclass(frozen=True)
class OneOf:
    """Validates that a name is a key of a table, as it is when the name is read."""

    kind: str
    table: Mapping[str, Any]

    def __call__(self, name: str) -> str:
        """The name itself. Raises ValueError where the table lacks it."""
        if name not in self.table:
            raise ValueError(unknown(self.kind, name, self.table))
        return name


def one_of(kind: str, table: Mapping[str, Any]) -> AfterValidator:
    """The annotation of an option that chooses from a table."""
    return AfterValidator(OneOf(kind, table))


def words_of(about: FieldInfo) -> tuple[str, ...]:
    """The names that an option or a field takes, where it chooses from a few."""
    if get_origin(about.annotation) is Literal:
        return get_args(about.annotation)
    tables = [part.func.table for part in about.metadata if _chooses(part)]
    return tuple(name for table in tables for name in table)


def _chooses(part: Any) -> bool:
    return isinstance(part, AfterValidator) and isinstance(part.func, OneOf)


def chosen(function: Callable[..., object], given: Mapping[str, Any]) -> list[Any]:
    """The entries that options of a method choose from tables."""
    return [
        part.func.table[given[name]]
        for name, about in options_of(function).items()
        for part in about.metadata
        if _chooses(part)
    ]


def function_of(entry: Any) -> Callable[..., Any]:
    """An entry of a table is a function, or a record that holds one."""
    function: Callable[..., Any] = getattr(entry, "function", entry)
    return function
