"""Exact unlearning without θ_0 or N: what several requests share is taken away, and N is read off
the rank (ours).

One full-batch step without sample j differs from the step with it by α/(N − 1) · (g_j − ḡ). The
nuisance ḡ, the mean gradient of all private samples, is the same in every request under one model
before. Each function names what it assumes beyond the threat model; all of them fail where
minibatches make the nuisance another one in each request.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from uninv_lib.anatomy import both, joined
from uninv_lib.attacks.features import analytic
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.update import difference
from uninv_lib.types import Reconstruction, WhiteBoxView

LARGEST = 128
"""The private set of one full batch, in the official code: beyond it `private_size_of` does not
hold."""


def _updates(views: Sequence[WhiteBoxView], fewest: int) -> list[dict[str, Tensor]]:
    """after − before of each view. Raises ValueError for too few views, or where their models
    before differ.
    """
    if len(views) < fewest or any(view.num_forgotten != 1 for view in views):
        forgotten = [view.num_forgotten for view in views]
        raise ValueError(
            f"views: forgotten samples {forgotten}; allowed: {fewest} or more views of one "
            "sample each"
        )
    for view in views[1:]:
        if any(
            change.any() for change in difference(view.net, views[0].before, view.before).values()
        ):
            raise ValueError(
                "views: models before that differ; allowed: requests under one model before"
            )
    return [difference(view.net, view.before, view.after) for view in views]


def without_common(views: Sequence[WhiteBoxView]) -> list[WhiteBoxView]:
    """The same views with the nuisance taken out of each `after`, for any attack and any net.

    ASSUMPTION: 3 requests or more, of one sample each, under one model before. Most entries of most
    samples' gradients are near 0, so the entrywise median of the *others'* updates is near the
    shared −ḡ, and their mean is not. Raises ValueError for fewer views, or for models before that
    differ.
    """
    updates, cleaned = _updates(views, 3), []
    for i, view in enumerate(views):
        after = dict(view.after)
        for name in updates[i]:
            others = (
                torch.stack([update[name] for k, update in enumerate(updates) if k != i])
                .sort(0)
                .values
            )
            middle = others[(len(others) - 1) // 2], others[len(others) // 2]
            after[name] = after[name] - (middle[0] + middle[1]) / 2
        cleaned.append(replace(view, after=after))
    return cleaned


def meeting(updates: Tensor) -> Tensor:
    """What entered a linear layer, followed by 1, in each of R requests: (R, out, in + 1) -> (R, in
    + 1).

    The difference of requests j and k is e_j [x_j, 1] − e_k [x_k, 1]: the nuisance is gone, and its
    rows span a plane that holds [x_j, 1]. The planes of j with two others meet in that one line.
    """
    found = []
    for j in range(len(updates)):
        others = [k for k in range(len(updates)) if k != j]
        planes = torch.linalg.svd(updates[j] - updates[others], full_matrices=False).Vh[:, :2]
        line = torch.linalg.eigh((planes.transpose(1, 2) @ planes).sum(0)).eigenvectors[:, -1]
        found.append(line / line[-1])
    return torch.stack(found)


def labels_of_requests(views: Sequence[WhiteBoxView]) -> Tensor:
    """The forgotten label of each request, (R,) int64, from the last layer of any net that ends in
    a linear one with bias.

    ASSUMPTION: as `meeting`, 3 requests or more under one model before. Raises ValueError for
    another net, and what `without_common` raises.
    """
    last = inspect_view(views[0]).anatomy.head
    updates = torch.stack([joined(update, last) for update in _updates(views, 3)])
    entered = meeting(updates)
    labels = []
    for j in range(len(updates)):
        k = (j + 1) % len(updates)
        errors = torch.linalg.lstsq(entered[[j, k]].T, (updates[j] - updates[k]).T).solution
        labels.append(errors[0].argmin())  # softmax − onehot: below zero for its own class alone
    return torch.stack(labels)


def recover_together(views: Sequence[WhiteBoxView]) -> list[Reconstruction]:
    """The forgotten sample of each request in closed form, where the first layer is linear with
    bias.

    ASSUMPTION: 3 requests or more, of one sample each, under one model before, one full-batch
    epoch; neither θ_0 nor N, and no sample need be surprising. To rounding in float64. Raises
    ValueError for another first layer, and what `without_common` raises.
    """
    started = time.perf_counter()
    updates = _updates(views, 3)
    request = inspect_view(views[0])
    anatomy = request.anatomy
    if not analytic.applies(request):
        raise ValueError(
            "net: its first layer is not linear with bias; allowed: linear, mlp, or "
            "without_common(views)"
        )
    first = both(anatomy.layers[0])
    entered, labels = (
        meeting(torch.stack([joined(u, first) for u in updates]))[:, :-1],
        labels_of_requests(views),
    )
    found = []
    for x, label in zip(entered, labels, strict=True):
        inputs = anatomy.inputs_of(x).nan_to_num(0.5)
        seconds = (time.perf_counter() - started) / len(views)
        found.append(
            Reconstruction(
                inputs, label[None].to(inputs.device), torch.zeros(1, 1).to(inputs), seconds
            )
        )
    return found


def private_size_of(view: WhiteBoxView) -> int:
    """N, for `replace(view, private_size=N)`: the official combination without being told N.

    ASSUMPTION: `view.pretrained`, and one full-batch epoch, so N of 128 at most. The right N leaves
    one sample's gradient, of rank one in the last layer; any other leaves ḡ in it. In float32
    rounding hides it as N grows. Raises ValueError without `pretrained` or for several samples.
    """
    if view.pretrained is None or view.num_forgotten != 1:
        raise ValueError(
            f"view: pretrained {'missing' if view.pretrained is None else 'known'}, "
            f"{view.num_forgotten} forgotten; "
            "allowed: pretrained known, one forgotten"
        )
    last = inspect_view(view).anatomy.head
    change = joined(difference(view.net, view.before, view.after), last)
    step = joined(difference(view.net, view.before, view.pretrained), last)
    sizes = torch.arange(2, LARGEST + 1)
    values = torch.linalg.svdvals((sizes - 1).double()[:, None, None] * change + step)
    return int(sizes[(values[:, 1] / values[:, 0]).argmin()])
