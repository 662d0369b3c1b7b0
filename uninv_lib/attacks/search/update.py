"""What the server computes first: the update that unlearning made, and where it was made."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uninv_lib.types import State, WhiteBoxView


class NothingChanged(ValueError):
    """The two models agree where the attack would look: a gradient too small for the arithmetic of
    the weights.
    """


def difference(net: nn.Module, first: State, second: State) -> dict[str, Tensor]:
    """second − first for every parameter of `net`.

    Raises ValueError that names the tensor which is missing, has another shape or is not finite.
    """
    update = {}
    for name, parameter in net.named_parameters():
        for which, state in (("before", first), ("after", second)):
            if name not in state:
                raise ValueError(
                    f"{which}: no tensor {name!r}; allowed: both models with the parameters "
                    "of `net`"
                )
            if state[name].shape != parameter.shape:
                raise ValueError(
                    f"{which}: {name!r} has shape {tuple(state[name].shape)}; allowed: "
                    f"{tuple(parameter.shape)}"
                )
            if not torch.isfinite(state[name]).all():
                raise ValueError(
                    f"{which}: {name!r} holds NaN or infinity; did unlearning diverge?"
                )
        change = second[name].detach() - first[name].detach()
        update[name] = change.to(first[name].dtype)
    return update


def forgotten_gradient(view: WhiteBoxView) -> tuple[dict[str, Tensor], State]:
    """The estimate of the forgotten samples' gradient ∇*, up to scale, and the state it is a
    gradient at.

    As the paper states it (eq. 2): the difference of the two models, at θ. Our sign, after −
    before, points along the gradient for both kinds of unlearning. With θ_0 and N known, as in the
    official code: the combination N(θ_0 − θ) − (N − K)(θ_0 − θ_u), at θ_0, which is exact for one
    full-batch epoch of training. With the number of unlearning steps k known, the difference is a
    sum of gradients along a path, and they are taken at its mean, θ + (k − 1)/2k · (θ_u − θ), which
    is exact to second order in the rate where θ is to first (ours). Raises ValueError where the
    models do not match, NothingChanged where they agree.
    """
    update = difference(view.net, view.before, view.after)
    point = view.before
    if view.pretrained is not None and view.private_size is not None:
        trained = difference(view.net, view.before, view.pretrained)
        retrained = difference(view.net, view.after, view.pretrained)
        rest = view.private_size - view.num_forgotten
        update = {
            name: (view.private_size * trained[name] - rest * retrained[name]).to(trained[name])
            for name in update
        }
        point = view.pretrained
    elif view.unlearning_steps is not None:
        share = (view.unlearning_steps - 1) / (2 * view.unlearning_steps)
        point = {
            name: t + share * update[name] if name in update else t for name, t in point.items()
        }
    if not any(change.any() for change in update.values()):
        raise NothingChanged("after: equals before in every parameter; there is nothing to invert")
    return update, point


def labels_of_bias(update: Tensor, count: int) -> Tensor:
    """The labels of `count` forgotten samples from the last bias's update, (classes,) -> (count,)
    int64, sorted.

    The update is the sum of softmax − onehot, up to scale: each sample pulls its own class below
    zero, by about the mean of what is below zero. Classes are taken most negative first, each time
    giving one such pull back (after Wainakh et al. 2022; for one sample this is iDLG, Zhao et al.
    2020).
    """
    remaining = update.double().clone()
    pull = -remaining.clamp(max=0).sum() / count
    labels = []
    for _ in range(count):
        labels.append(int(remaining.argmin()))
        remaining[labels[-1]] += pull
    return torch.tensor(sorted(labels))


def error_without_bias(weight: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """One sample's output error e and last features h, where the last layer W has no bias to tell
    them (ours).

    weight, slopes: (classes, features), W and its update e hᵀ, whose best fit of rank one gives the
    directions of both. e's largest entry is the label's, and negative. The length of h is the one
    whose own error, softmax(W h) − onehot, points along e. Raises ValueError for two classes,
    between which every error points the same way.
    """
    if len(weight) < 3:
        raise ValueError(f"net: {len(weight)} classes; allowed without a bias: 3 or more")
    left, sizes, right = torch.linalg.svd(slopes.double(), full_matrices=False)
    sign = -left[left[:, 0].abs().argmax(), 0].sign()
    direction, features = sign * left[:, 0], sign * right[0]
    lengths = torch.logspace(-3, 4, 2000, dtype=torch.double, device=slopes.device)[:, None]
    errors = (lengths * (weight.double() @ features)).softmax(1)
    errors[:, direction.argmin()] -= 1
    length = lengths[torch.cosine_similarity(errors, direction[None], dim=1).argmax(), 0]
    return (direction * sizes[0] / length).to(slopes), (features * length).to(slopes)
