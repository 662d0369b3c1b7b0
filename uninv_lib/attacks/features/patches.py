"""The closed form for a net that embeds patches and adds a learned position to each (Lu et al.
2022, APRIL).

The position's update at a patch is the error e_p there, and the embedding's is Σ e_p x_pᵀ over the
patches: their pixels x_p follow by least squares. That was shown for one sample; so it is here.
Which parameter holds the positions, in which order, and which pixel is where in a patch is found by
running the net (ours), so that its code may be anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from uninv_lib.anatomy import Anatomy, fitting, met, within
from uninv_lib.attacks.search.update import forgotten_gradient
from uninv_lib.types import State, WhiteBoxView

ALIKE, KEPT, SPREAD = 1e-3, 0.1, 0.25
"""How far, beside their length, the slopes of a patch and of its position may differ in the
arithmetic of the net, and their sums in the update; the spread of pixels around 1/2. Ours, measured
on photos."""


@dataclass(frozen=True)
class Patches:
    """errors: (patches, width), the updates of the positions; embedding: (width, values), that of
    the embedding; offset, slope: (patches, values), of what enters it in the pixels, which are
    `pixels`, int64; noise: variance of an entry of the embedding's update, once explained. All
    float64 on the CPU.
    """

    errors: Tensor
    embedding: Tensor
    offset: Tensor
    slope: Tensor
    pixels: Tensor
    noise: float

    def solved(self) -> tuple[Tensor, float]:
        """(pixels in the order of the input, clamped to [0, 1]; how many patches are told apart).

        The least squares lean towards grey as far as the noise demands, of rounding alone also.
        """
        grey = self.offset + self.slope / 2
        weight = self.noise / (SPREAD**2 * self.slope.square().mean())
        left, sizes, right = torch.linalg.svd(self.errors, full_matrices=False)
        tiny = torch.finfo(sizes.dtype).tiny
        shrunk = sizes.square() / (sizes.square() + weight).clamp_min(tiny)
        told = right @ (self.embedding - self.errors.T @ grey)
        found = grey + left @ ((shrunk / sizes.clamp_min(tiny))[:, None] * told)
        values = ((found - self.offset) / self.slope).flatten().clamp(0, 1)
        return torch.zeros_like(values).scatter(
            0, self.pixels.flatten(), values
        ), shrunk.sum().item()


def patches_of(view: WhiteBoxView, anatomy: Anatomy) -> Patches | None:
    """What the update says of the patches of one forgotten sample; None where the first layer is no
    embedding of patches, no parameter moved as their positions would, or they make no whole input.
    """
    first = anatomy.layers[0] if anatomy.layers else None
    if view.num_forgotten != 1 or first is None or not _embeds(view.net.get_submodule(first)):
        return None
    state = fitting(view.net, view.before)
    laid = _laid_out(view, state, first)
    place = None if laid is None else _place_of(view, state, first)
    if laid is None or place is None:
        return None
    update, point = forgotten_gradient(view)
    name, axis, rows = place
    errors = _rows(update[name], axis)[rows].cpu().double()
    weight, bias = (point.get(within(first, n)) for n in ("weight", "bias"))
    assert weight is not None
    noise = (torch.finfo(weight.dtype).eps * weight.double()).square().mean().item() / 6
    if bias is not None:
        total = update[within(first, "bias")].cpu().double()
        away = errors.sum(0) - total
        if away.norm() > KEPT * total.norm():
            return None
        noise += away.square().mean().item()
    embedding = update[within(first, "weight")].cpu().double().flatten(1)
    return Patches(errors, embedding, *laid, noise)


def _embeds(layer: nn.Module) -> bool:
    """Whether a layer may embed patches; that they lie side by side the pixels tell."""
    if "weight" not in dict(layer.named_parameters(recurse=False)):
        return False
    return isinstance(layer, nn.Linear) or (
        isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding in ((0, 0), "valid")
    )


@torch.no_grad()
def _laid_out(view: WhiteBoxView, state: State, first: str) -> tuple[Tensor, Tensor, Tensor] | None:
    """(offset, slope, pixels), each (patches, values), of what enters the embedding; None where
    that is not every pixel once, at most normalised.
    """
    like = state[within(first, "weight")]
    values = torch.Size(view.input_shape).numel()
    code = torch.arange(1, values + 1) / (values + 1)
    noise = torch.rand(values, generator=torch.Generator().manual_seed(0))
    tried = torch.stack([torch.zeros(values), torch.ones(values), code, noise]).to(like)
    entered = met(view.net, state, first, tried.reshape(-1, *view.input_shape))[0]
    layer = view.net.get_submodule(first)
    if isinstance(layer, nn.Conv2d):
        entered = unfold(entered, layer.kernel_size, layer.dilation, 0, layer.stride).mT
    if entered.ndim != 3 or entered[0].numel() != values:
        return None
    offset, one, coded, check = entered.cpu().double()
    slope = one - offset
    pixels = ((coded - offset) / slope * (values + 1)).nan_to_num(0, 0, 0).round().long() - 1
    if not torch.equal(pixels.flatten().sort().values, torch.arange(values)):
        return None
    close = torch.allclose(offset + slope * noise.double()[pixels], check, rtol=ALIKE, atol=ALIKE)
    return (offset, slope, pixels) if close else None


def _place_of(view: WhiteBoxView, state: State, first: str) -> tuple[str, int, Tensor] | None:
    """(name, axis, (patches,) rows) of the parameter whose slopes are those of what the embedding
    gives: it is added to it there.
    """
    rng = torch.Generator().manual_seed(0)
    learned = {n: state[n].detach().requires_grad_() for n, _ in view.net.named_parameters()}
    inputs = torch.rand(1, *view.input_shape, generator=rng).to(state[within(first, "weight")])
    with torch.enable_grad():
        _, given, output = met(view.net, {**state, **learned}, first, inputs)
        errors = torch.randn(output.shape, generator=rng).to(output)
        own, *slopes = torch.autograd.grad(
            (output * errors).sum(), [given, *learned.values()], allow_unused=True
        )
    if own is None:
        return None
    conv = isinstance(view.net.get_submodule(first), nn.Conv2d)
    sought = _rows(own[0], 0 if conv else 1)
    for name, slope in zip(learned, slopes, strict=True):
        for axis in _axes(slope, sought) if not name.startswith(f"{first}.") else ():
            rows = torch.cdist(sought, _rows(slope, axis)).argmin(1)
            away = (_rows(slope, axis)[rows] - sought).norm()
            if away <= ALIKE * sought.norm() and len(rows.unique()) == len(rows):
                return name, axis, rows.cpu()
    return None


def _axes(slope: Tensor | None, sought: Tensor) -> Iterator[int]:
    """The axes of a parameter along which a row for every patch could lie."""
    if slope is not None and slope.numel() >= sought.numel():
        yield from (i for i, size in enumerate(slope.shape) if size == sought.shape[1])


def _rows(values: Tensor, axis: int) -> Tensor:
    """(all the rest, the size of this axis)"""
    return values.movedim(axis, -1).flatten(0, -2)
