"""What an attacker does who knows of the defense: a function view -> view for each defense that has
one, in a file of the defense's name.
"""

from __future__ import annotations

from collections.abc import Callable

from uninv_lib.attacks.adaptive.pruning import unmask
from uninv_lib.types import WhiteBoxView

ADAPTIVE: dict[str, Callable[[WhiteBoxView], WhiteBoxView]] = {
    "pruning": unmask,
}
"""By the name of the defense. Against obfuscation the closed form fits all rows at once, whoever
asks; against fine-tuning none is known here."""
