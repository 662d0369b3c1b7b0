"""Unlearning methods, one file each.

Whoever forgets nobody leaves the model as it is, but for `retrain`, which trains again. Where
nobody is left to retain, the part that retained samples have in a method falls away.
"""

from collections.abc import Callable

from uninv_lib.types import State
from uninv_lib.unlearning.amnesiac import amnesiac
from uninv_lib.unlearning.bad_teacher import bad_teacher
from uninv_lib.unlearning.fisher import fisher
from uninv_lib.unlearning.gradient_ascent import gradient_ascent
from uninv_lib.unlearning.needs import NEEDS
from uninv_lib.unlearning.neggrad_plus import neggrad_plus
from uninv_lib.unlearning.newton import newton
from uninv_lib.unlearning.orthogonal import orthogonal
from uninv_lib.unlearning.random_labels import random_labels
from uninv_lib.unlearning.retrain import retrain
from uninv_lib.unlearning.salun import salun
from uninv_lib.unlearning.scrub import scrub
from uninv_lib.unlearning.sisa import sisa

__all__ = ["NEEDS", "UNLEARNING"]

UNLEARNING: dict[str, Callable[..., State]] = {
    "retrain": retrain,
    "gradient_ascent": gradient_ascent,
    "neggrad_plus": neggrad_plus,
    "random_labels": random_labels,
    "salun": salun,
    "scrub": scrub,
    "bad_teacher": bad_teacher,
    "fisher": fisher,
    "orthogonal": orthogonal,
    "newton": newton,
    "amnesiac": amnesiac,
    "sisa": sisa,
}
"""(trained, forget, retain, *, rng, options) -> State of the model after, by name."""
