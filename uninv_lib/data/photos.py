"""Crops of ten photographs that come with scikit-learn and scikit-image (ours)."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.types import Dataset, Split

PHOTOS = (
    *("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry"),
    *("retina", "rocket", "motorcycle", "china", "flower"),
)
SIDE, BLOCK, CROP, STRIDE = (
    320,
    64,
    32,
    16,
)  # pixels: photo, region, crop, step between crops of one region


def photo(name: str) -> Tensor:
    """One bundled photograph: the middle square, resized to SIDE pixels, (3, SIDE, SIDE) in [0,
    1].
    """
    import skimage
    from sklearn.datasets import load_sample_image

    if name in ("china", "flower"):
        pixels = load_sample_image(f"{name}.jpg")
    elif name == "motorcycle":
        pixels = skimage.data.stereo_motorcycle()[0]
    else:
        pixels = getattr(skimage.data, name)()
    top, left = ((n - min(pixels.shape[:2])) // 2 for n in pixels.shape[:2])
    square = pixels[top : top + min(pixels.shape[:2]), left : left + min(pixels.shape[:2])]
    resized = skimage.transform.resize(square, (SIDE, SIDE), anti_aliasing=True)
    return torch.tensor(resized, dtype=torch.float32).permute(2, 0, 1).clamp(0, 1)


def _crops(photo: Tensor) -> Tensor:
    """(blocks, crops of one block, 3, CROP, CROP): crops of one block share pixels, crops of two
    never do.
    """
    blocks = photo.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)
    crops = blocks.unfold(3, CROP, STRIDE).unfold(4, CROP, STRIDE)
    return crops.permute(1, 2, 3, 4, 0, 5, 6).reshape((SIDE // BLOCK) ** 2, -1, 3, CROP, CROP)


def photos() -> Dataset:
    """32x32 RGB crops of ten bundled photographs, a class each; public, private and test crops
    share no pixel.

    Each photograph has 25 regions of 64x64 pixels: 13 public, 7 private, 5 test, nine overlapping
    crops in each.
    """
    parts: list[list[Tensor]] = [[], [], []]
    rng = torch.Generator().manual_seed(0)
    for name in PHOTOS:
        crops = _crops(photo(name))
        order = torch.randperm(len(crops), generator=rng)
        for part, blocks in zip(parts, order.tensor_split([13, 20]), strict=True):
            part.append(crops[blocks].flatten(0, 1))
    labels = [torch.arange(len(PHOTOS)).repeat_interleave(len(part[0])) for part in parts]
    public, private, test = (
        Split(torch.cat(p), label) for p, label in zip(parts, labels, strict=True)
    )
    return Dataset("photos", public, private, test, PHOTOS, "image")
