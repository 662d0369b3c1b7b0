"""Which private training a method builds on, where not any will do."""

from __future__ import annotations

from collections.abc import Collection

from uninv_lib.types import Recipe

NEEDS: dict[str, Collection[str]] = {
    "sisa": ("sharded",),
    "newton": ("converged", "ridge"),
    "amnesiac": ("one_epoch",),
}
"""The trainings that an unlearning method needs one of, by the method's name."""


def misfit(method: str, training: str) -> str:
    """What is wrong with a method after this training; empty where nothing is."""
    if training in NEEDS.get(method, (training,)):
        return ""
    allowed = " or ".join(map(repr, NEEDS[method]))
    return f"training: {training!r}; allowed with unlearning {method!r}: {allowed}"


def require(method: str, recipe: Recipe) -> None:
    """Raises ValueError where a model was trained in a way that the method does not build on."""
    if fault := misfit(method, recipe.training):
        raise ValueError(fault)


def training_for(method: str) -> str:
    """A training that the method builds on: an epoch of SGD wherever that will do."""
    return next(iter(NEEDS.get(method, ("one_epoch",))))
