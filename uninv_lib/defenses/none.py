"""No defense: what unlearning gave is released."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from uninv_lib.types import Split, State, Trained


def none(
    unlearned: State,
    trained: Trained,
    retain: Split,
    *,
    rng: torch.Generator,
    strength: Annotated[float, Field(ge=0, le=0, description="0")] = 0.0,
) -> State:
    """The same state."""
    return unlearned
