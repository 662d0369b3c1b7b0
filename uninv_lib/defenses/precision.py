"""Precision: the released parameters are kept with fewer digits, as half precision does."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from uninv_lib.types import Split, State, Trained

DIGITS = 24
"""Binary ones of a float32, the leading one among them."""


def precision(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[
        int,
        Field(
            ge=1,
            lt=DIGITS,
            description="binary digits dropped: 13 leave those of float16, 16 those of bfloat16",
            examples=[8, 13, 16],
        ),
    ],
) -> State:
    """Every parameter of unlearned rounded to the 24 − `strength` binary digits that it begins
    with, in the type that it had (ours): at 13 to those of float16, at 16 to bfloat16 itself.
    """
    if not strength:
        return dict(unlearned)
    names = {name for name, _ in trained.net.named_parameters()}
    return {n: _shortened(t, DIGITS - strength) if n in names else t for n, t in unlearned.items()}


def _shortened(values: Tensor, digits: int) -> Tensor:
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**digits).round(), exponent - digits)
