"""Settings of the search, and how they are changed by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypedDict, TypeVar

from uninv_lib.attacks.search.layerwise import Phases

KINDS = ("plain", "head", "angle", "layerwise")
Chosen = TypeVar("Chosen")


class Changes(TypedDict, total=False):
    """Fields of an attack's settings, by name; see `Settings`."""

    error_known: bool
    signed: bool
    lr: float
    iterations: int
    restarts: int
    tv: float
    fading: float
    colours: int
    tries: int
    patience: int | None
    enough: float
    rounds: int
    kinds: tuple[str, ...]
    phases: tuple[float, ...]
    compiled: bool
    exact: int
    solved: Changes


@dataclass(frozen=True)
class Settings:
    """Settings of the optimisation. error_known: the output errors are read off the update, and
    gradients are compared by their differences; else labels are assumed, and the cosine compares;
    signed: as published, AdamW on the gradient's signs; tv: weight of the total variation; fading:
    what it is multiplied by once the picture of `layerwise` is half found, and after, in (0, 1];
    colours: plain colours that every other start of that picture is put together of, 0 for none;
    tries: times that it gets starts, all but the first where it is stuck;
    patience: iterations without a better cost (by one part in a thousand) after which a restart
    ends, None for never; enough: cost below which no further restart or round is made; rounds: of
    `layerwise`, each from the picture before; kinds: restarts take these in turn; phases: lengths
    of the `Phases` of `layerwise`, in units of `iterations`; compiled: the search over the whole
    net runs as one function of `torch.compile`, which a night of recoveries pays back (see
    `descend`); exact: moves at most with which `layerwise` solves what entered the last
    convolutions, where the net is a chain (see `solve_inner`), 0 for descent alone; solved: what
    else is set for a request where that is certified. Raises ValueError for what is out of range.
    """

    lr: float
    iterations: int
    tv: float
    error_known: bool = True
    signed: bool = False
    patience: int | None = None
    enough: float = 0.0
    restarts: int = 1
    rounds: int = 1
    kinds: tuple[str, ...] = ("plain",)
    phases: tuple[float, ...] = (4, 2, 1, 1 / 3, 4 / 3)
    compiled: bool = False
    exact: int = 0
    fading: float = 1.0
    colours: int = 0
    tries: int = 1
    solved: Changes = field(default_factory=lambda: Changes())

    def __post_init__(self) -> None:
        at_least_one(self, "iterations", "restarts", "rounds", "tries")
        if not self.kinds or set(self.kinds) - set(KINDS):
            raise ValueError(f"kinds: {self.kinds}; allowed: some of {', '.join(KINDS)}")
        for name in ("exact", "colours"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)}; allowed: 0 or more")
        if not 0 < self.fading <= 1:
            raise ValueError(f"fading: {self.fading}; allowed: above 0, at most 1")
        if self.solved:
            changed(self, {**self.solved, "solved": {}})

    def iterations_of(self) -> Phases:
        """Of each phase of `layerwise`."""
        return Phases(*(max(1, round(self.iterations * share)) for share in self.phases))

    def most(self, turns: list[str]) -> int:
        """Steps that restarts of these kinds take, at most."""
        layers = (
            self.iterations_of().most(self.rounds, self.tries) + (self.rounds - 1) * self.iterations
        )
        return len(turns) * self.iterations + turns.count("layerwise") * layers


def at_least_one(settings: object, *names: str) -> None:
    """Raises ValueError where a field of these names is below 1."""
    for name in names:
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}: {getattr(settings, name)}; allowed: 1 or more")


def changed(settings: Chosen, changes: Mapping[str, Any]) -> Chosen:
    """The same with some fields changed. Raises ValueError for an unknown field, and what the
    settings themselves raise.
    """
    names = [field.name for field in fields(settings)]  # type: ignore[arg-type]
    unknown = sorted(set(changes) - set(names))
    if unknown:
        raise ValueError(f"settings: {unknown}; allowed: {', '.join(names)}")
    return replace(settings, **changes)  # type: ignore[type-var]
