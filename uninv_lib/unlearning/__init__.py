"""Unlearning methods, one file each."""

from collections.abc import Callable

from uninv_lib.types import State
from uninv_lib.unlearning.gradient_ascent import gradient_ascent
from uninv_lib.unlearning.retrain import retrain

UNLEARNING: dict[str, Callable[..., State]] = {
    "retrain": retrain,
    "gradient_ascent": gradient_ascent,
}
"""(trained, forget, retain, *, rng, options) -> State of the model after, by name."""
