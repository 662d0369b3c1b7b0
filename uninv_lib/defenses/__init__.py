"""Defenses, one file each."""

from collections.abc import Callable

from uninv_lib.defenses.fine_tuning import fine_tuning
from uninv_lib.defenses.none import none
from uninv_lib.defenses.obfuscation import obfuscation
from uninv_lib.defenses.pruning import pruning
from uninv_lib.types import State

DEFENSES: dict[str, Callable[..., State]] = {
    "none": none,
    "obfuscation": obfuscation,
    "pruning": pruning,
    "fine_tuning": fine_tuning,
}
"""(unlearned, trained, retain, *, rng, options) -> State that is released instead, by name."""
