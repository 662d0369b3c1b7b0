"""The first layer of every model here: inputs in [0, 1] become what a net likes."""

from __future__ import annotations

from torch import Tensor, nn

LEAST, LEAST_OF_A_COLUMN = 1e-3, 0.02
"""Deviations that are divided by at least. A feature of a table may stand for a category that
hardly any public row has; a row that has it would else be far from all others (ours)."""


class Normalise(nn.Module):
    """(x − mean) / std, per channel of an image or per feature of a table."""

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        over = [0, 2, 3] if inputs.ndim == 4 else [0]
        least = LEAST if inputs.ndim == 4 else LEAST_OF_A_COLUMN
        self.register_buffer("mean", inputs.mean(over, keepdim=True)[0])
        self.register_buffer("std", inputs.std(over, keepdim=True)[0].clamp_min(least))

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) in [0, 1] -> the same with mean 0 and deviation 1."""
        return (x - self.mean) / self.std


def images_only(model: str, shape: tuple[int, ...]) -> None:
    """Raises ValueError where inputs of this shape are no images."""
    if len(shape) != 3:
        raise ValueError(
            f"model: {model!r} needs images, came inputs of shape {shape}, a table; "
            "allowed: linear, mlp"
        )
