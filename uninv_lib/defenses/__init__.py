"""Defenses, one file each: (released, trained, retain, *, rng, strength) -> State that is released
instead.
"""

from uninv_lib.defenses.fine_tuning import fine_tuning
from uninv_lib.defenses.obfuscation import obfuscation
from uninv_lib.defenses.pruning import pruning

DEFENSES = {"obfuscation": obfuscation, "pruning": pruning, "fine_tuning": fine_tuning}
