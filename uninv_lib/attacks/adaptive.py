"""What an attacker does who knows of the defense: a function view -> view for each defense that has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from uninv_lib.types import WhiteBoxView


def unmask(view: WhiteBoxView) -> WhiteBoxView:
    """Pruning undone where it shows: a parameter that is exactly zero after gets the value that it had before (ours).

    What is left of the update is that of all other parameters; of the pruned ones it says nothing.
    """
    after = {name: torch.where(tensor == 0, view.before[name], tensor) for name, tensor in view.after.items()}
    return replace(view, after=after)


ADAPTIVE: dict[str, Callable[[WhiteBoxView], WhiteBoxView]] = {"pruning": unmask}
"""By the name of the defense. Against obfuscation the closed form fits all rows at once, whoever asks; against
fine-tuning none is known here."""
