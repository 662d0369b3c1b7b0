"""Sets that torchvision fetches: CIFAR-10, CIFAR-100 and STL-10."""

from __future__ import annotations

import torch

from uninv_lib.data.parts import cut, to_inputs
from uninv_lib.support.cache import home
from uninv_lib.support.torchvision import import_torchvision
from uninv_lib.types import Dataset, Split


def cifar10() -> Dataset:
    """60,000 photographs, 32x32 RGB, 10 classes: 40,000 public, 10,000 private (the paper's
    sizes).
    """
    return _fetched("cifar10", 10_000)


def cifar100() -> Dataset:
    """60,000 photographs, 32x32 RGB, 100 classes: 40,000 public, 10,000 private (the paper's)."""
    return _fetched("cifar100", 10_000)


def stl10() -> Dataset:
    """13,000 photographs, 96x96 RGB, 10 classes: 4,000 public, 1,000 private (the paper's
    sizes).
    """
    return _fetched("stl10", 1_000)


def _fetched(name: str, pool: int) -> Dataset:
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
            "online once, or use a set that needs no network (digits, faces, photos, "
            "breast_cancer), imagefolder:PATH or npz:PATH"
        ) from error
    splits = []
    for part in (train, test):
        pixels = part.data.transpose(0, 2, 3, 1) if name == "stl10" else part.data
        labels = torch.tensor(part.labels if name == "stl10" else part.targets).long()
        splits.append(Split(to_inputs(pixels), labels))
    public, private, _ = cut(splits[0].inputs, splits[0].labels, (len(splits[0]) - pool, pool))
    return Dataset(name, public, private, splits[1], tuple(train.classes), "image")
