"""Sets that come with scikit-learn and scikit-image: nothing is fetched."""

from __future__ import annotations

import torch

from uninv_lib.data.parts import cut
from uninv_lib.types import Dataset


def digits() -> Dataset:
    """1,797 handwritten digits, 8x8 grey, 10 classes (UCI, as in scikit-learn): 897 public, 600
    private.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    inputs = torch.tensor(raw.images / 16, dtype=torch.float32)[:, None]
    parts = cut(inputs, torch.tensor(raw.target), (897, 600))
    return Dataset("digits", *parts, tuple("0123456789"), "image", mirrored=False)


def faces() -> Dataset:
    """100 faces and 100 background patches, 25x25 grey (LFW subset, as in scikit-image): 100
    public, 60 private.
    """
    from skimage.data import lfw_subset

    inputs = torch.tensor(lfw_subset(), dtype=torch.float32)[:, None].clamp(0, 1)
    labels = (torch.arange(200) < 100).long()
    return Dataset("faces", *cut(inputs, labels, (100, 60)), ("background", "face"), "image")


def breast_cancer() -> Dataset:
    """569 tumours, 30 features scaled to [0, 1] by their published ranges (UCI, as in
    scikit-learn): 269 public.
    """
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    low, high = raw.data.min(0), raw.data.max(0)
    inputs = torch.tensor((raw.data - low) / (high - low), dtype=torch.float32).clamp(0, 1)
    parts = cut(inputs, torch.tensor(raw.target), (269, 200))
    return Dataset("breast_cancer", *parts, tuple(map(str, raw.target_names)), "table")
