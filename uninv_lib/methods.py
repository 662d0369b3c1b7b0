"""The methods that a Spec chooses from, and whose option is whose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from uninv_lib.attacks import ATTACKS
from uninv_lib.data import SOURCES, current
from uninv_lib.defenses import DEFENSES
from uninv_lib.models import MODELS
from uninv_lib.options import function_of, model_of, options_of
from uninv_lib.training import TRAINING
from uninv_lib.types import unknown
from uninv_lib.unlearning import UNLEARNING

Method = Callable[..., Any]
TABLES: dict[str, Mapping[str, Any]] = {
    "dataset": SOURCES,
    "model": MODELS,
    "training": TRAINING,
    "unlearning": UNLEARNING,
    "defense": DEFENSES,
    "attack": ATTACKS,
}
"""The fields of a Spec that choose a method, and what can be chosen; its options are fields,
too."""
DEFAULTS = {
    "dataset": "photos",
    "model": "convnet",
    "training": "one_epoch",
    "unlearning": "gradient_ascent",
    "defense": "none",
    "attack": "fast",
}
"""What is chosen where nothing is said."""


RENAMED = {"preset": "attack"}
"""Fields of earlier versions."""


def entry_of(field: str, chosen: Mapping[str, Any]) -> Any:
    """The entry that a field of TABLES chooses; of a name that is not allowed, that of the
    default.
    """
    name = str(chosen.get(field, DEFAULTS[field]))
    key = current(name).partition(":")[0] if field == "dataset" else name
    return TABLES[field].get(key, TABLES[field][DEFAULTS[field]])


def method_of(field: str, chosen: Mapping[str, Any]) -> Method:
    """The function of that entry."""
    return function_of(entry_of(field, chosen))


def owners() -> Mapping[str, Mapping[str, tuple[str, FieldInfo]]]:
    """Of each option, by name: the methods that have it, each with its field of TABLES."""
    methods = (
        (field, name, function_of(entry))
        for field, table in TABLES.items()
        for name, entry in table.items()
    )
    return _owners(tuple(methods))


@lru_cache(maxsize=8)
def _owners(
    methods: tuple[tuple[str, str, Method], ...],
) -> Mapping[str, Mapping[str, tuple[str, FieldInfo]]]:
    found: dict[str, dict[str, tuple[str, FieldInfo]]] = {}
    for field, method, function in methods:
        for name, about in options_of(function).items():
            found.setdefault(name, {})[method] = (field, about)
    return found


def applicable(given: Mapping[str, Any], *, quiet: Iterable[str] | None = None) -> dict[str, Any]:
    """These fields without options that the chosen methods do not take; they are passed over in
    silence.

    quiet: the names of mere defaults. Then a default is left out also where the chosen method
    refuses it, and any other field stays, for Spec to refuse.
    """
    methods = [method_of(field, given) for field in TABLES]
    fitting = {name: method for method in methods for name in options_of(method)}
    left_out = owners().keys() - fitting.keys()
    if quiet is not None:
        refused = {name for name in fitting.keys() & given if _refuses(fitting[name], name, given)}
        left_out = (left_out | refused) & set(quiet)
    return {name: value for name, value in given.items() if name not in left_out}


def _refuses(method: Method, name: str, given: Mapping[str, Any]) -> bool:
    """Whether a method does not take this value of its option."""
    try:
        model_of(method)(**{name: given[name]})
    except ValidationError as error:
        return any(f["loc"] == (name,) for f in error.errors())
    return False


def read_options(given: Mapping[str, Any], core: Collection[str]) -> dict[str, Any]:
    """The options of the chosen methods, validated, at their defaults where they are not given.

    core: the fields that are no options. Raises ValidationError with all faults.
    """
    faults, taken = list[InitErrorDetails](), set(core)
    read: dict[str, Any] = {}
    for field in TABLES:
        method = method_of(field, given)
        own = {name: given[name] for name in options_of(method) if name in given}
        taken |= set(options_of(method))
        try:
            read |= model_of(method)(**own).model_dump()
        except ValidationError as error:
            chosen = given.get(field, DEFAULTS[field])
            faults += details(error, f" for {field} {chosen!r}")
    for name in given:
        if name not in taken:
            told = name if name in owners() or name in RENAMED else ""  # others name themselves
            faults.append(_detail(told, _whose(name, given, core), given[name]))
    if faults:
        raise ValidationError.from_exception_data("Spec", faults)
    return read


def _whose(name: str, given: Mapping[str, Any], core: Collection[str]) -> str:
    """What is wrong with a field that neither is core nor an option of a chosen method."""
    options = owners()
    if name in RENAMED:
        return f"is {RENAMED[name]!r} since version 0.2"
    if name not in options:
        return unknown("field", name, [*core, *options])
    field = next(iter(options[name].values()))[0]
    chosen = given.get(field, DEFAULTS[field])
    return f"an option of {field} {' and '.join(map(repr, options[name]))}, not of {chosen!r}"


def details(error: ValidationError, note: str = "") -> list[InitErrorDetails]:
    """The faults of an error, each with a note, to be raised in another."""
    return [
        _detail(
            ".".join(map(str, fault["loc"])),
            fault["msg"].removeprefix("Value error, ") + note,
            None if fault["type"] == "missing" else fault["input"],
        )
        for fault in error.errors(include_url=False)
    ]


def _detail(name: str, message: str, value: Any) -> InitErrorDetails:
    kind = PydanticCustomError("spec", "{message}", {"message": message})
    return InitErrorDetails(type=kind, loc=(name,) if name else (), input=value)
