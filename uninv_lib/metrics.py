"""How close a recovered sample comes, and intervals over models first, persons within."""

from __future__ import annotations

import torch
from torch import Tensor

from uninv_lib.support.extras import needs
from uninv_lib.support.torchvision import import_torchvision


def mse(inputs: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of each sample, (n, *shape) -> (n,)."""
    return (inputs - truth).square().flatten(1).mean(1)


def psnr(inputs: Tensor, truth: Tensor, *, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each sample in dB, (n,); at most 160.

    Inputs lie in [0, 1], so the peak is 1. The official code divides by its data's std instead,
    which adds about 12 dB on CIFAR-10: pass that peak to compare with its tables.
    """
    return 10 * torch.log10(peak**2 / mse(inputs, truth).double().clamp_min(1e-16))


SSIM_WINDOW = 7
"""Pixels, of a side: smaller pictures have no structural similarity."""


def ssim(inputs: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each image, (n, c, h, w) -> (n,), with a 7-pixel window (Wang et al.
    2004).
    """
    from skimage.metrics import structural_similarity

    pairs = zip(inputs.double().cpu().numpy(), truth.double().cpu().numpy(), strict=True)
    return torch.tensor(
        [structural_similarity(a, b, data_range=1.0, channel_axis=0) for a, b in pairs]
    )


def lpips(inputs: Tensor, truth: Tensor) -> Tensor:
    """Learned perceptual distance of each image (Zhang et al. 2018, AlexNet), (n, c, h, w) -> (n,).

    The network's weights are fetched at the first call. Raises RuntimeError where that fails,
    ModuleNotFoundError without torchmetrics.
    """
    with needs("lpips"):
        import_torchvision("models")  # before torchmetrics imports it without the remedy
        from torchmetrics.functional.image import (
            learned_perceptual_image_patch_similarity as distance,
        )

    def prepared(x: Tensor) -> Tensor:
        rgb = x.float().cpu().expand(-1, 3, -1, -1)
        return torch.nn.functional.interpolate(
            rgb, size=(64, 64), mode="bilinear", antialias=True
        ).clamp(0, 1)

    try:
        pairs = zip(prepared(inputs).split(1), prepared(truth).split(1), strict=True)
        return torch.stack(
            [distance(a, b, net_type="alex", normalize=True).detach() for a, b in pairs]
        )
    except OSError as error:
        raise RuntimeError(
            f"lpips: AlexNet's weights could not be fetched ({error}); go online once, or "
            "use mse, psnr and ssim"
        ) from error


def order(inputs: Tensor, truth: Tensor) -> Tensor:
    """(K,) which recovered sample is which of the K true ones, by the assignment with the highest
    mean PSNR, so that who was found exactly is not traded for two who were not found at all.
    """
    from scipy.optimize import linear_sum_assignment

    distance = torch.cdist(truth.flatten(1).double(), inputs.flatten(1).double())
    distance = distance.clamp_min(1e-12).log()
    _, found = linear_sum_assignment(distance.cpu().numpy())
    return torch.as_tensor(found, device=inputs.device)


def match(inputs: Tensor, truth: Tensor) -> Tensor:
    """The recovered samples in the order of the true ones, see `order`."""
    return inputs[order(inputs, truth)]


def interval(
    values: Tensor, *, models: Tensor | None = None, level: float = 0.95
) -> tuple[float, float, float]:
    """Median and its bootstrap percentile interval (2,000 resamples, seeded): (median, low, high).

    models: (n,), the model that each value belongs to. Then models are drawn first and values
    within each of them, so that the interval is about other models too; without, it is about other
    persons of the same models.
    """
    values = values.double()
    low, high = _spread(values, models).nanquantile(0.5, dim=1).quantile(_edges(level)).tolist()
    return values.quantile(0.5).item(), low, high


def rate(
    right: Tensor, *, models: Tensor | None = None, level: float = 0.95
) -> tuple[float, float, float]:
    """The share of ones in `right` (n,): (rate, low, high), by Wilson's interval at 95%.

    Where `models` (n,) names several, the interval is widened to that of a bootstrap over models
    first. Raises ValueError for a value that is neither one nor zero.
    """
    if not ((right == 0) | (right == 1)).all():
        raise ValueError(
            "right: a share or nan among the values; allowed: 0 and 1 (for shares: interval)"
        )
    found, low, high = wilson(int(right.sum()), len(right))
    if models is not None and len(models.unique()) > 1:
        drawn = _spread(right.double(), models).nanmean(1).quantile(_edges(level)).tolist()
        low, high = min(low, drawn[0]), max(high, drawn[1])
    return found, low, high


def _edges(level: float) -> Tensor:
    return torch.tensor([(1 - level) / 2, (1 + level) / 2]).double()


def _spread(values: Tensor, models: Tensor | None) -> Tensor:
    """2,000 resamples, a row each; NaN where a drawn model has fewer values than the largest."""
    rng = torch.Generator().manual_seed(0)
    if models is None:
        return values[torch.randint(len(values), (2000, len(values)), generator=rng)]
    _, model = models.unique(return_inverse=True)
    sizes = torch.bincount(model)
    own = torch.nn.utils.rnn.pad_sequence(
        [values[model == i] for i in range(len(sizes))], True, torch.nan
    )
    drawn = torch.randint(len(sizes), (2000, len(sizes)), generator=rng)
    place = torch.rand(2000, *own.shape, generator=rng) * sizes[drawn][..., None]
    place = place.long().masked_fill(torch.arange(own.shape[1]) >= sizes[drawn][..., None], -1)
    picked = own[drawn[..., None], place.clamp_min(0)]
    return picked.masked_fill(place < 0, torch.nan).flatten(1)


def wilson(hits: int, trials: int, *, z: float = 1.96) -> tuple[float, float, float]:
    """A rate and its Wilson score interval (95% at z = 1.96): (rate, low, high)."""
    if trials < 1 or not 0 <= hits <= trials:
        raise ValueError(
            f"hits: {hits} of {trials} trials; allowed: 0 to trials, of 1 trial or more"
        )
    rate, spread = hits / trials, z**2 / trials
    centre, half = (
        rate + spread / 2,
        z * (rate * (1 - rate) / trials + spread / (4 * trials)) ** 0.5,
    )
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    return (
        rate,
        min(low, rate),
        max(high, rate),
    )  # which rounding would leave by a hair at 0 and at 1
