"""Images in a folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from uninv_lib.data.parts import cut, to_inputs
from uninv_lib.types import Dataset, Split


def _read_images(folder: Path, classes: Sequence[str]) -> Split:
    """Every image of folder/<class>/ in alphabetical order; all must have the first one's size and
    mode.
    """
    from PIL import Image, UnidentifiedImageError

    files = [
        (file, c) for c, name in enumerate(classes) for file in sorted((folder / name).iterdir())
    ]
    pixels, first = [], None
    for file, _ in files:
        try:
            with Image.open(file) as image:
                mode = "L" if image.mode in ("1", "L", "I;16") else "RGB"
                pixels.append(np.atleast_3d(np.asarray(image.convert(mode))))
        except UnidentifiedImageError as error:
            raise ValueError(f"dataset: {file} is not an image; remove it") from error
        first = first or (file, pixels[0].shape)
        if pixels[-1].shape != first[1]:
            raise ValueError(
                f"dataset: {file} has shape {pixels[-1].shape}, {first[0].name} has {first[1]}; "
                "resize all images to one size first"
            )
    return Split(to_inputs(np.stack(pixels)), torch.tensor([c for _, c in files]))


def image_folder(path: Path) -> Dataset:
    """PATH/<class>/*, or PATH/train/<class>/* and PATH/test/<class>/*, a class at least two images.

    With train and test, a fifth of train is private; without, half of all is public, three tenths
    are private.
    """
    name = f"imagefolder:{path}"
    path = path.expanduser()
    if not path.is_dir():
        raise FileNotFoundError(
            f"dataset: {path} is not a folder; imagefolder:PATH takes PATH/<class>/<image>"
        )
    separate = (path / "train").is_dir() and (path / "test").is_dir()
    root = path / "train" if separate else path
    classes = tuple(sorted(f.name for f in root.iterdir() if f.is_dir() and any(f.iterdir())))
    if len(classes) < 2:
        raise ValueError(
            f"dataset: {len(classes)} class folders with images in {root}; allowed: two or more"
        )
    samples = _read_images(root, classes)
    n = len(samples)
    if separate:
        public, private, _ = cut(samples.inputs, samples.labels, (n - n // 5, n // 5))
        return Dataset(
            name, public, private, _read_images(path / "test", classes), classes, "image"
        )
    parts = cut(samples.inputs, samples.labels, (n // 2, 3 * n // 10))
    return Dataset(name, *parts, classes, "image")
