"""What a view holds, before anything is understood of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from uninv_lib.attacks.inspection.result import Reading


def given(reading: Reading) -> Reading:
    """The same. Raises ValueError that names a field which is none of what it may be."""
    view = reading.view
    if not isinstance(view.net, nn.Module) or isinstance(view.net, torch.jit.ScriptModule):
        kind = getattr(view.net, "__name__", type(view.net).__name__)
        raise ValueError(f"net: {kind}; allowed: an nn.Module that is not scripted")
    shape = view.input_shape
    if not isinstance(shape, (tuple, list)) or not all(_whole(size, 1) for size in shape):
        raise ValueError(f"input_shape: {shape!r}; allowed: a tuple of whole numbers from 1")
    _from("num_forgotten", view.num_forgotten, 1)
    for name, least in (("unlearning_steps", 1), ("private_size", view.num_forgotten)):
        if getattr(view, name) is not None:
            _from(name, getattr(view, name), least)
    _tensor("labels", view.labels, (view.num_forgotten,))
    _tensor("public", view.public, (None, *shape))
    return reading


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _from(name: str, value: Any, least: int) -> None:
    if not _whole(value, least):
        raise ValueError(f"{name}: {value!r}; allowed: a whole number from {least}")


def _tensor(name: str, value: Any, sizes: tuple[int | None, ...]) -> None:
    """Refuses what is no tensor whose shape begins with these sizes, None being any."""
    if value is None:
        return
    came = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    begins = isinstance(value, Tensor) and value.ndim >= len(sizes)
    if not begins or any(s not in (None, n) for s, n in zip(sizes, value.shape, strict=False)):
        wanted = ", ".join("n" if size is None else str(size) for size in sizes)
        raise ValueError(f"{name}: {came}; allowed: a tensor of shape ({wanted}, ...)")
