"""One convolution of a chain: what entered it stands in linear equations, once it is known which
cell of each window behind it gave the window's value (ours).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad, unfold

from uninv_lib.attacks.exact.chain import Block


@dataclass(frozen=True)
class Layer:
    """block: of the chain; values, errors: (out, windows), what each window of block.pool pixels
    gives and the loss's gradient in it; size: height and width of what enters.

    A window whose value is 0 has no winner. Where a window is a single cell, a value that hardly
    differs from 0 does not tell whether it has one.
    """

    block: Block
    values: Tensor
    errors: Tensor
    size: tuple[int, int]

    def to(self, dtype: torch.dtype) -> Layer:
        """The same in numbers of this type."""
        names = ("weight", "bias", "slopes", "noise")
        block = replace(self.block, **{n: getattr(self.block, n).to(dtype) for n in names})
        return Layer(block, self.values.to(dtype), self.errors.to(dtype), self.size)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Windows in a column and in a row; the pooling drops what remains."""
        return self.size[0] // self.block.pool, self.size[1] // self.block.pool

    @cached_property
    def count(self) -> int:
        """Pixels of what enters, of one channel."""
        return self.size[0] * self.size[1]

    @cached_property
    def active(self) -> Tensor:
        """(out, windows), 1 where there is a winner, else 0."""
        return (self.values > 0).to(self.values)

    @cached_property
    def scales(self) -> tuple[float, float]:
        """Root mean squares of the gradient and of the values that are not 0."""
        values = self.values.square().sum() / self.active.sum().clamp_min(1)
        return float(self.block.slopes.square().mean().sqrt()), float(values.sqrt())

    @cached_property
    def rounding(self) -> float:
        """Of the gradient, beside its length."""
        return float(self.block.noise.norm() / self.block.slopes.norm())

    @cached_property
    def reached(self) -> Tensor:
        """(1, out, height, width), the value of the window around each pixel, 0 outside of all."""
        cells = self.block.pool**2
        return self.image(self.values[None, :, :, None].expand(-1, -1, -1, cells))

    @cached_property
    def apart(self) -> Tensor:
        """(pixels, pixels), 0 where two lie in the same window, else 1."""
        windows = torch.arange(self.grid[0] * self.grid[1]).to(self.values)[:, None] + 1
        number = self.image(windows.expand(-1, self.block.pool**2)).flatten()
        return ((number[:, None] != number) | (number == 0)).to(self.values)

    def cells(self, image: Tensor) -> Tensor:
        """(..., height, width) -> (..., windows, cells)"""
        (rows, columns), side = self.grid, self.block.pool
        kept = image[..., : rows * side, : columns * side]
        split = kept.unflatten(-1, (columns, side)).unflatten(-3, (rows, side)).transpose(-3, -2)
        found: Tensor = split.flatten(-2).flatten(-3, -2)
        return found

    def image(self, cells: Tensor) -> Tensor:
        """(..., windows, cells) -> (..., height, width), 0 where the pooling drops."""
        (rows, columns), side = self.grid, self.block.pool
        split = cells.unflatten(-2, (rows, columns)).unflatten(-1, (side, side))
        kept = split.transpose(-3, -2).flatten(-2).flatten(-3, -2)
        rest = self.size[1] - columns * side, self.size[0] - rows * side
        return pad(kept, (0, rest[0], 0, rest[1])) if any(rest) else kept

    def behind(self, winners: Tensor) -> Tensor:
        """The errors in front of the pooling, (n, out, height, width), of `winners`, each cell's
        probability to be its window's winner, (n, out, windows, cells).
        """
        return self.image(winners * self.errors[:, :, None])

    def linear(self, entered: Tensor, *, bias: bool = True) -> Tensor:
        """What stands in front of the ReLU, (n, out, height, width)."""
        shift = self.block.bias if bias else None
        return conv2d(entered, self.block.weight, shift, padding=self.block.padding)

    def back(self, errors: Tensor) -> Tensor:
        """The transpose of `linear`."""
        return conv_transpose2d(errors, self.block.weight, padding=self.block.padding)

    def along(self, entered: Tensor) -> Tensor:
        """How much an error at each place would add of the gradient, (n, out, height, width)."""
        return conv2d(entered, self.block.slopes, padding=self.block.padding)

    def pulled(self, errors: Tensor) -> Tensor:
        """The transpose of what a gradient is of what entered, times the gradient, (n, in, ...)."""
        return conv_transpose2d(errors, self.block.slopes, padding=self.block.padding)

    def slopes(self, entered: Tensor, errors: Tensor) -> Tensor:
        """The gradient, (n, out, in, k, k)."""
        patches = unfold(entered, self.block.weight.shape[-1], padding=self.block.padding)
        found = errors.flatten(2) @ patches.transpose(1, 2)
        kernels: Tensor = found.unflatten(2, self.block.weight.shape[1:])
        return kernels

    def over_taps(self, moments: Tensor) -> Tensor:
        """The sum of products of pixels, (n, pixels, pixels), over the kernel's shifts of both."""
        total = moments.unflatten(2, self.size).unflatten(1, self.size)
        for axis in (1, 2):
            shifted = total
            total = shifted.clone()
            for step in range(1, self.block.padding + 1):
                far, near = slice(step, None), slice(None, -step)
                later = (slice(None),) * axis + (far, slice(None), far)
                earlier = (slice(None),) * axis + (near, slice(None), near)
                total[later] += shifted[earlier]
                total[earlier] += shifted[later]
        summed: Tensor = total.flatten(3).flatten(1, 2)
        return summed
