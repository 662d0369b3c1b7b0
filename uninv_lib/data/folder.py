"""Images in a folder a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from uninv_lib.data.parts import FEWEST, cut
from uninv_lib.types import Dataset, Split

if TYPE_CHECKING:
    from PIL import Image

LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r"}
"""What Windows, macOS and file servers leave beside pictures, in lower case."""
SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose grey pixels Pillow may give as 32-bit integers, though they have 16 bits."""
BITS_PER_SAMPLE = 258
"""The tag of TIFF."""


def _entries(folder: Path) -> Iterator[Path]:
    """What a user put into a folder, in alphabetical order."""
    for entry in sorted(folder.iterdir()):
        if not entry.name.startswith(".") and entry.name.lower() not in LITTER:
            yield entry


def _read_images(folder: Path, classes: Sequence[str]) -> Split:
    """Every image of folder/<class>/ in alphabetical order; all must have the first one's size and
    number of channels.
    """
    files = [(file, c) for c, name in enumerate(classes) for file in _entries(folder / name)]
    pixels: list[np.ndarray] = []
    for file, _ in files:
        pixels.append(_read_image(file))
        if pixels[-1].shape != pixels[0].shape:
            raise ValueError(
                f"dataset: {file} has shape {pixels[-1].shape}, {files[0][0].name} has "
                f"{pixels[0].shape}; resize all images to one size first"
            )
    inputs = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return Split(inputs, torch.tensor([c for _, c in files]))


def _read_image(file: Path) -> np.ndarray:
    """float32 (height, width, 1 or 3) in [0, 1]; of several frames, the first. Raises ValueError
    that names the file.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.load()
            return np.atleast_3d(_pixels(image))
    except UnidentifiedImageError as error:
        raise ValueError(f"dataset: {file} is not an image; remove it") from error
    except _Refused as error:
        raise ValueError(f"dataset: {file} {error}") from error
    except Exception as error:  # each decoder of Pillow's has errors of its own
        told = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"dataset: {file} cannot be read ({told}); replace it or remove it"
        ) from error


class _Refused(Exception):
    """What an image has that this project does not take, and what is allowed."""


def _pixels(image: Image.Image) -> np.ndarray:
    """By the depth of the image: 1, 8 and 16 bits, and floats that lie in [0, 1]."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in SIXTEEN_BITS):
        return _scaled(image, 2 ** _bits(image) - 1)
    if image.mode == "I":
        raise _Refused(
            "has integers of 32 bits, whose white is not known; allowed: 8 or 16 bits, or floats "
            "from 0 to 1"
        )
    if image.mode == "F":
        return _floats(np.asarray(image, dtype=np.float32))
    if image.has_transparency_data:
        least = np.asarray(image.convert("RGBA"))[..., 3].min()
        if least < 255:
            raise _Refused(f"is transparent (alpha from {least} of 255); put it on a background")
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    return _scaled(image.convert(mode), 255)


def _scaled(image: Image.Image, white: int) -> np.ndarray:
    pixels: np.ndarray = np.asarray(image, dtype=np.float32) / np.float32(white)
    return pixels


def _bits(image: Image.Image) -> int:
    """Of a grey pixel that Pillow gives in 16 bits; a TIFF may use 12 of them."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(BITS_PER_SAMPLE, (16,))[0])


def _floats(pixels: np.ndarray) -> np.ndarray:
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        came = f"{pixels.min():g} to {pixels.max():g}"
        raise _Refused(f"has floats from {came}; allowed: from 0 to 1")
    return pixels


def image_folder(path: Path) -> Dataset:
    """PATH/<class>/*, or PATH/train/<class>/* and PATH/test/<class>/*.

    With train and test, a fifth of train is private; without, half of all is public, three tenths
    are private. Hidden files, and those that systems leave behind, are passed over. Raises
    FileNotFoundError and ValueError that name the folder, or the file and what is allowed.
    """
    name = f"imagefolder:{path}"
    path = path.expanduser()
    if not path.is_dir():
        raise FileNotFoundError(
            f"dataset: {path} is not a folder; imagefolder:PATH takes PATH/<class>/<image>"
        )
    separate = (path / "train").is_dir() and (path / "test").is_dir()
    root = path / "train" if separate else path
    classes = _classes(root)
    if len(classes) < 2:
        raise ValueError(
            f"dataset: {len(classes)} class folders with images in {root}; allowed: two or more"
        )
    if separate and (other := _classes(path / "test")) != classes:
        odd = ", ".join(sorted({*classes} ^ {*other}))
        raise ValueError(f"dataset: {odd}: in one of train and test of {path}; allowed: in both")
    samples = _read_images(root, classes)
    n = len(samples)
    if n < FEWEST:
        raise ValueError(f"dataset: {n} images in {root}; allowed: {FEWEST} or more")
    if separate:
        public, private, _ = cut(samples.inputs, samples.labels, (n - n // 5, n // 5))
        test = _read_images(path / "test", classes)
        came, allowed = (tuple(split.inputs.shape[1:]) for split in (test, samples))
        if came != allowed:
            raise ValueError(
                f"dataset: images of {path / 'test'} have shape {came}; allowed: {allowed}, as in "
                "train; resize all images to one size first"
            )
        return Dataset(name, public, private, test, classes, "image")
    parts = cut(samples.inputs, samples.labels, (n // 2, 3 * n // 10))
    return Dataset(name, *parts, classes, "image")


def _classes(root: Path) -> tuple[str, ...]:
    """The folders that hold something."""
    return tuple(f.name for f in _entries(root) if f.is_dir() and any(_entries(f)))
