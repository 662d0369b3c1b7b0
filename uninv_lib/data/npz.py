"""Images in an npz file, as MedMNIST publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from uninv_lib.data.parts import FEWEST, cut, to_inputs
from uninv_lib.types import Dataset, Split

PARTS = ("train", "val", "test")
ARRAYS = tuple(f"{part}_{kind}" for part in PARTS for kind in ("images", "labels"))


def npz(path: Path) -> Dataset:
    """PATH, an npz file with the arrays train_images, train_labels, and so for val and test.

    images: uint8 (n, height, width) or (n, height, width, 3), of any one size; labels: integers
    (n, 1) or (n,), the classes 0, 1, ... A fifth of train is private. The rest is public, and so is
    val, by which whoever pretrains chooses the model. Raises FileNotFoundError, and ValueError that
    names the array, what came and what is allowed; nothing is unpickled.
    """
    name, path = f"npz:{path}", path.expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"dataset: {path} is not a file; npz:PATH takes an npz file")
    try:
        arrays = _arrays(path)
        train, val, test = (_split(arrays, part) for part in PARTS)
        classes = _classes(arrays)
    except ValueError as error:
        raise ValueError(f"dataset: {path}: {error}") from error
    n = len(train)
    public, private, _ = cut(train.inputs, train.labels, (n - n // 5, n // 5))
    inputs, labels = (
        torch.cat(both) for both in ((public.inputs, val.inputs), (public.labels, val.labels))
    )
    return Dataset(name, Split(inputs, labels), private, test, classes, "image")


def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays by name, all there."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("one array; allowed: an npz file of several, by name")
        with file:
            found = {name: file[name] for name in ARRAYS if name in file}
    except FileNotFoundError:
        raise
    except Exception as error:  # zip, its compressions and numpy's headers have errors of their own
        told = "what it holds would have to be unpickled" if "pickle" in str(error) else error
        raise ValueError(f"no npz file of arrays ({told}); download it again") from error
    if other := [name for name, array in found.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{', '.join(other)}: no array of numpy; allowed: {', '.join(ARRAYS)}")
    if absent := [name for name in ARRAYS if name not in found]:
        raise ValueError(f"without {', '.join(absent)}; allowed: {', '.join(ARRAYS)}")
    return found


def _split(arrays: Mapping[str, np.ndarray], part: str) -> Split:
    images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    first = arrays["train_images"].shape[1:]
    grey, colour = images.ndim == 3, images.ndim == 4 and images.shape[3] == 3
    if images.dtype != np.uint8 or not (grey or colour) or 0 in images.shape[1:]:
        raise ValueError(
            f"{part}_images: {images.dtype} of shape {images.shape}; allowed: uint8 (n, height, "
            "width) or (n, height, width, 3)"
        )
    if images.shape[1:] != first:
        raise ValueError(f"{part}_images: of {images.shape[1:]}; allowed: {first}, as in train")
    if len(images) < (least := FEWEST if part == "train" else 1):
        raise ValueError(f"{part}_images: {len(images)} of them; allowed: {least} or more")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"{part}_labels: {labels.shape[1]} columns, several labels a picture; allowed: one"
        )
    if labels.size != len(images) or labels.ndim > 2 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{part}_labels: {labels.dtype} of shape {labels.shape}; allowed: an integer for each "
            f"of {len(images)} images"
        )
    pixels = images[..., None] if grey else images
    return Split(to_inputs(pixels), torch.from_numpy(labels.reshape(-1).astype(np.int64)))


def _classes(arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """0, 1, ..., each with samples in train."""
    there = sorted({int(label) for label in arrays["train_labels"].flat})
    if len(there) < 2 or there != list(range(len(there))):
        raise ValueError(f"train_labels: classes {there[:20]}; allowed: 0, 1, ..., two or more")
    for part in PARTS[1:]:
        if odd := {int(label) for label in arrays[f"{part}_labels"].flat} - {*there}:
            raise ValueError(f"{part}_labels: {min(odd)}; allowed: 0 to {there[-1]}, as in train")
    return tuple(map(str, there))
