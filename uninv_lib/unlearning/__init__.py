"""Unlearning methods, one file each: (trained, forget, retain, *, rng, ...) -> State of the model
after.
"""

from uninv_lib.unlearning.gradient_ascent import gradient_ascent
from uninv_lib.unlearning.retrain import retrain

UNLEARNING = {"retrain": retrain, "gradient_ascent": gradient_ascent}
