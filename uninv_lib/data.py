"""load(name) -> Dataset: embedded sets, torchvision sets, image folders. Every input lies in [0,
1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from uninv_lib._torchvision import import_torchvision
from uninv_lib.cache import home
from uninv_lib.types import DATASETS, Dataset, Split

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


@lru_cache(maxsize=4)
def load(name: str) -> Dataset:
    """The data set of this name: one of `types.DATASETS` or `imagefolder:PATH`.

    Raises ValueError for an unknown name or samples that do not fit, FileNotFoundError for a
    missing folder, RuntimeError where a download is needed and fails.
    """
    if name.startswith("imagefolder:"):
        return _image_folder(Path(name.removeprefix("imagefolder:")).expanduser(), name)
    if name not in LOADERS:
        raise ValueError(f"dataset: {name!r}; allowed: {', '.join(DATASETS)}, imagefolder:PATH")
    return LOADERS[name]()


def _cut(inputs: Tensor, labels: Tensor, sizes: tuple[int, int]) -> tuple[Split, Split, Split]:
    """Public, private and test samples: the first sizes[0], the next sizes[1] and the rest of one
    fixed shuffle.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    public, private, test = order.tensor_split([sizes[0], sum(sizes)])
    samples = Split(inputs, labels)
    return samples.take(public), samples.take(private), samples.take(test)


def _digits() -> Dataset:
    """1,797 handwritten digits, 8x8 grey, 10 classes (UCI, as in scikit-learn): 897 public, 600
    private.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    inputs = torch.tensor(raw.images / 16, dtype=torch.float32)[:, None]
    cut = _cut(inputs, torch.tensor(raw.target), (897, 600))
    return Dataset("digits", *cut, tuple("0123456789"), "image")


def _faces() -> Dataset:
    """100 faces and 100 background patches, 25x25 grey (LFW subset, as in scikit-image): 100
    public, 60 private.
    """
    from skimage.data import lfw_subset

    inputs = torch.tensor(lfw_subset(), dtype=torch.float32)[:, None].clamp(0, 1)
    labels = (torch.arange(200) < 100).long()
    return Dataset("faces", *_cut(inputs, labels, (100, 60)), ("background", "face"), "image")


def _breast_cancer() -> Dataset:
    """569 tumours, 30 features scaled to [0, 1] by their published ranges (UCI, as in
    scikit-learn): 269 public.
    """
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    low, high = raw.data.min(0), raw.data.max(0)
    inputs = torch.tensor((raw.data - low) / (high - low), dtype=torch.float32).clamp(0, 1)
    cut = _cut(inputs, torch.tensor(raw.target), (269, 200))
    return Dataset("breast_cancer", *cut, tuple(map(str, raw.target_names)), "table")


def _photo(name: str) -> Tensor:
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


def _photos() -> Dataset:
    """32x32 RGB crops of ten bundled photographs, a class each; public, private and test crops
    share no pixel.

    Each photograph has 25 regions of 64x64 pixels: 13 public, 7 private, 5 test, nine overlapping
    crops in each.
    """
    parts: list[list[Tensor]] = [[], [], []]
    rng = torch.Generator().manual_seed(0)
    for name in PHOTOS:
        crops = _crops(_photo(name))
        order = torch.randperm(len(crops), generator=rng)
        for part, blocks in zip(parts, order.tensor_split([13, 20]), strict=True):
            part.append(crops[blocks].flatten(0, 1))
    labels = [torch.arange(len(PHOTOS)).repeat_interleave(len(part[0])) for part in parts]
    public, private, test = (
        Split(torch.cat(p), label) for p, label in zip(parts, labels, strict=True)
    )
    return Dataset("photos", public, private, test, PHOTOS, "image")


def _to_inputs(pixels: np.ndarray) -> Tensor:
    """uint8 (n, height, width, channels) -> float32 (n, channels, height, width) in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255


def _torchvision(name: str, pool: int) -> Dataset:
    """A torchvision set, downloaded to the cache folder; `pool` training samples are private, the
    others public.
    """
    datasets, root = import_torchvision("datasets"), home() / "data"
    keywords = (
        [{"split": "train"}, {"split": "test"}]
        if name == "stl10"
        else [{"train": True}, {"train": False}]
    )
    try:
        train, test = (
            getattr(datasets, name.upper())(root, download=True, **words) for words in keywords
        )
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"dataset: {name} is not in {root} and could not be downloaded ({error}); go "
            "online once, or use "
            "an embedded set (digits, faces, photos, breast_cancer) or imagefolder:PATH"
        ) from error
    splits = []
    for part in (train, test):
        pixels = part.data.transpose(0, 2, 3, 1) if name == "stl10" else part.data
        labels = torch.tensor(part.labels if name == "stl10" else part.targets).long()
        splits.append(Split(_to_inputs(pixels), labels))
    public, private, _ = _cut(splits[0].inputs, splits[0].labels, (len(splits[0]) - pool, pool))
    return Dataset(name, public, private, splits[1], tuple(train.classes), "image")


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
    return Split(_to_inputs(np.stack(pixels)), torch.tensor([c for _, c in files]))


def _image_folder(path: Path, name: str) -> Dataset:
    """PATH/<class>/*, or PATH/train/<class>/* and PATH/test/<class>/*, a class at least two images.

    With train and test, a fifth of train is private; without, half of all is public, three tenths
    are private.
    """
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
        public, private, _ = _cut(samples.inputs, samples.labels, (n - n // 5, n // 5))
        return Dataset(
            name, public, private, _read_images(path / "test", classes), classes, "image"
        )
    cut = _cut(samples.inputs, samples.labels, (n // 2, 3 * n // 10))
    return Dataset(name, *cut, classes, "image")


LOADERS: dict[str, Callable[[], Dataset]] = {
    "digits": _digits,
    "faces": _faces,
    "photos": _photos,
    "breast_cancer": _breast_cancer,
    "cifar10": lambda: _torchvision("cifar10", 10_000),
    "cifar100": lambda: _torchvision("cifar100", 10_000),
    "stl10": lambda: _torchvision("stl10", 1_000),
}
