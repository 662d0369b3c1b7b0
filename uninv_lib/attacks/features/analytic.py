"""The closed form: through fully connected layers the forgotten samples are read off the update."""

from __future__ import annotations

import time
from itertools import pairwise

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import head
from uninv_lib.attacks.search.last_layer import separate
from uninv_lib.attacks.search.update import NothingChanged, forgotten_gradient, labels_of_bias
from uninv_lib.attacks.session import Session
from uninv_lib.types import Reconstruction, State, WhiteBoxView

APPLIES = (
    "one sample and a first layer that is linear with bias; or fewer samples than classes, "
    "linear and ReLU alone"
)


def analytic(view: WhiteBoxView, *, session: Session, budget: str = "default") -> Reconstruction:
    """The closed form; it draws nothing and takes no time worth a budget.

    Raises ValueError where it does not apply, and what `recover` raises.
    """
    if not applies(view):
        raise ValueError(
            f"attack: 'analytic' with {view.num_forgotten} forgotten; allowed: {APPLIES}"
        )
    return recover(view)


def applies(view: WhiteBoxView) -> bool:
    """Whether the samples can be read off: one, where the first layer with parameters is linear and
    has a bias; several, fewer than the classes, where linear layers with bias and ReLU are all
    there is.
    """
    layers = [layer for layer in view.net.modules() if list(layer.parameters(recurse=False))]
    linear = [isinstance(layer, nn.Linear) and layer.bias is not None for layer in layers]
    if view.num_forgotten == 1:
        return linear[:1] == [True]
    known = [
        isinstance(layer, (nn.Linear, nn.Flatten, nn.ReLU))
        for layer in list(view.net.children())[1:]
    ]
    return all(linear) and all(known) and view.num_forgotten < len(view.before[head(view.net)[1]])


def recover(view: WhiteBoxView) -> Reconstruction:
    """The forgotten samples in closed form, where `applies` says so.

    `net` must begin with its normalisation (`mean`, `std`), which is undone.
    """
    started = time.perf_counter()
    update, point = forgotten_gradient(view)
    x, labels = (_one if view.num_forgotten == 1 else _several)(view, update, point)
    mean, std = (point[f"0.{name}"].expand(view.input_shape) for name in ("mean", "std"))
    inputs = (x.to(mean).reshape(-1, *view.input_shape) * std + mean).clamp(0, 1)
    return Reconstruction(
        inputs,
        labels.to(inputs.device),
        torch.zeros(1, 1).to(inputs),
        time.perf_counter() - started,
    )


def _several(view: WhiteBoxView, update: dict[str, Tensor], point: State) -> tuple[Tensor, Tensor]:
    """(normalised inputs, labels): the samples are told apart in the last layer, then followed down
    (ours).

    In each layer the update is Σ e_k [a_k, 1]ᵀ. With every e_k known the a_k follow by least
    squares, and with them the errors of the layer below, e = (Wᵀ e_k) where a_k > 0.
    """
    found = separate(view, point, update)
    names = [name.removesuffix(".weight") for name in update if name.endswith(".weight")]
    errors, entered = found.errors, found.features
    for upper, lower in pairwise(reversed(names)):
        errors = (errors @ point[f"{upper}.weight"].cpu().double()) * (entered > 0)
        rows = (
            torch.cat([update[f"{lower}.weight"], update[f"{lower}.bias"][:, None]], 1)
            .cpu()
            .double()
        )
        solution = torch.linalg.lstsq(errors.T, rows).solution
        entered = (solution[:, :-1] / solution[:, -1:]).nan_to_num(
            0
        )  # the mean, for a sample without any error
    return entered, found.labels


def _one(view: WhiteBoxView, update: dict[str, Tensor], point: State) -> tuple[Tensor, Tensor]:
    """(normalised input, label) from the first layer's update (Geiping et al. 2020, section 3;
    Phong et al. 2018).

    Unit i moved its weights by e_i · x and its bias by e_i, so the rows (ΔW_i, Δb_i) are multiples
    of one vector (x, 1). It is read off the best matrix of rank one (ours): with noise of relative
    norm s on every parameter, a first layer of n units and one sample, the cosine with the true x
    is about 1/√(1 + s²/n), which is what somebody who knew every e_i could reach. The sign and the
    length come from the last entry, which is 1, but the input stays within reach of [0, 1] even
    where noise drowns that entry; from s of about √n on, the sign is lost at times. Exact for one
    sample's gradient; of the stated attack on exact unlearning, it gives a mixture.
    """
    (weight, slopes), (_, errors) = list(update.items())[:2]
    if not errors.any():
        raise NothingChanged(
            f"after: the bias beside {weight!r} did not change; there is nothing to divide by"
        )
    rows = torch.cat([slopes, errors[:, None]], 1).cpu().double()
    units = torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -1]
    direction, last = (rows.T @ units).split([slopes.shape[1], 1])
    mean, std = (point[f"0.{name}"].expand(view.input_shape) for name in ("mean", "std"))
    reach = torch.maximum(mean, 1 - mean).div(std).flatten().cpu()  # of a normalised input
    length = torch.maximum(last.abs(), (direction.abs() / reach).quantile(0.95))
    labels = (
        view.labels if view.labels is not None else labels_of_bias(update[head(view.net)[1]], 1)
    )
    return last.sign() * direction / length, labels
