"""Defenses, one file each."""

from collections.abc import Callable

from uninv_lib.defenses.cosine import cosine
from uninv_lib.defenses.decoys import decoys
from uninv_lib.defenses.dp_sgd import dp_sgd
from uninv_lib.defenses.fine_tuning import fine_tuning
from uninv_lib.defenses.none import none
from uninv_lib.defenses.obfuscation import obfuscation
from uninv_lib.defenses.precision import precision
from uninv_lib.defenses.projection import projection
from uninv_lib.defenses.pruning import pruning
from uninv_lib.defenses.rounding import rounding
from uninv_lib.defenses.sign import sign
from uninv_lib.defenses.top_k import top_k
from uninv_lib.types import State

DEFENSES: dict[str, Callable[..., State]] = {
    "none": none,
    "obfuscation": obfuscation,
    "pruning": pruning,
    "fine_tuning": fine_tuning,
    "sign": sign,
    "top_k": top_k,
    "rounding": rounding,
    "precision": precision,
    "decoys": decoys,
    "projection": projection,
    "cosine": cosine,
    "dp_sgd": dp_sgd,
}
"""(unlearned, trained, retain, *, rng, options) -> State that is released instead, by name."""
