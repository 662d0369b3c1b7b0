"""The closed form: through a fully connected first layer, one forgotten sample is read off the update."""

from __future__ import annotations

import time

import torch
from torch import nn

from uninv_lib.attacks.update import NothingChanged, forgotten_gradient, head, labels_of_bias
from uninv_lib.types import Reconstruction, WhiteBoxView


def applies(net: nn.Module) -> bool:
    """Whether the first layer with parameters is linear and has a bias."""
    first = next((layer for layer in net.modules() if list(layer.parameters(recurse=False))), None)
    return isinstance(first, nn.Linear) and first.bias is not None


def recover(view: WhiteBoxView) -> Reconstruction:
    """One forgotten sample from the first layer's update (Geiping et al. 2020, section 3; Phong et al. 2018).

    Unit i moved its weights by e_i · x and its bias by e_i, so the rows (ΔW_i, Δb_i) are multiples of one vector
    (x, 1). It is read off the best matrix of rank one (ours): with noise of relative norm s on every parameter, a first
    layer of n units and one sample, the cosine with the true x is about 1/√(1 + s²/n), which is what somebody who knew
    every e_i could reach. The sign and the length come from the last entry, which is 1, but the input stays within
    reach of [0, 1] even where noise drowns that entry; from s of about √n on, the sign is lost at times. `net` must
    begin with its normalisation (`mean`, `std`), which is undone. Exact for one sample's gradient; of several samples,
    or of the stated attack on exact unlearning, it gives a mixture.
    """
    started = time.perf_counter()
    update, point = forgotten_gradient(view)
    (weight, slopes), (_, errors) = list(update.items())[:2]
    if not errors.any():
        raise NothingChanged(f"after: the bias beside {weight!r} did not change; there is nothing to divide by")
    rows = torch.cat([slopes, errors[:, None]], 1).cpu().double()
    units = torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -1]
    direction, last = (rows.T @ units).split([slopes.shape[1], 1])
    mean, std = (point[f"0.{name}"].expand(view.input_shape) for name in ("mean", "std"))
    reach = torch.maximum(mean, 1 - mean).div(std).flatten().cpu()  # of a normalised input
    length = torch.maximum(last.abs(), (direction.abs() / reach).quantile(0.95))
    x = (last.sign() * direction / length).to(slopes).reshape(view.input_shape) * std + mean
    labels = view.labels if view.labels is not None else labels_of_bias(update[head(view.net)[1]], 1)
    return Reconstruction(x.clamp(0, 1)[None], labels, torch.zeros(1, 1).to(x), time.perf_counter() - started)
