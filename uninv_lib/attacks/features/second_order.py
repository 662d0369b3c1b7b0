"""Exact unlearning of a layer trained to convergence, undone with the curvature of the loss (after
HRec).

At the optimum of all private samples the retained ones alone are out of balance by exactly the
forgotten gradient,

    Σ_forgotten ∇ℓ(θ) = Σ_retained [∇ℓ(θ_u) − ∇ℓ(θ)] + λ (θ_u − θ),

the Hessian between the two optima times their difference. The labels cancel in the bracket, so what
stands there is the change of the *answers* times the features: Σ (p_u(x) − p(x)) [h(x), 1]ᵀ. The
server does not have the retained samples, but public ones of the same kind estimate that sum up to
its scale (Bertran et al. 2024, arXiv 2405.20272, for ridge regression by the covariance of public
samples; the exact secant of softmax regression is ours).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uninv_lib.anatomy import Anatomy, anatomy_of_view, entered, features_of, joined
from uninv_lib.attacks.inspection import Inspection, inspect_view
from uninv_lib.attacks.search.costs import total_variation
from uninv_lib.attacks.search.descent import Share, annealed, descend
from uninv_lib.attacks.search.last_layer import Separated, separate
from uninv_lib.attacks.search.operators import slow_attention
from uninv_lib.attacks.search.settings import Changes, at_least_one, changed
from uninv_lib.attacks.search.update import NothingChanged, difference
from uninv_lib.attacks.session import Session
from uninv_lib.types import Reconstruction, WhiteBoxView

STARTS = 8
"""Starts of the picture from its features; ours."""
BUDGETS: dict[str, Changes] = {"smoke": {"iterations": 20}, "quick": {}, "default": {}, "full": {}}


@dataclass(frozen=True)
class Search:
    """Of the picture of the features, where the net is more than one linear layer: its iterations,
    and tv, the weight of the total variation. Raises ValueError for what is out of range.
    """

    iterations: int = 300
    tv: float = 0.3

    def __post_init__(self) -> None:
        at_least_one(self, "iterations")


def second_order(
    view: WhiteBoxView, *, session: Session, budget: str = "default"
) -> Reconstruction:
    """For a last layer trained to convergence: its change times the curvature there is the
    forgotten samples' gradient.

    Assumes `view.public`. Raises ValueError without, and what `recover` raises.
    """
    return solve([inspect_view(view)], changed(Search(), BUDGETS[budget]), session)[0]


def solve(
    requests: Sequence[Inspection], settings: Search, session: Session
) -> list[Reconstruction]:
    """The samples of each request."""
    found = []
    for i, request in enumerate(requests):
        begin(request)
        with session.of([i]).steps(settings.iterations, "recovery") as own:
            found.append(recover(request, session=own, settings=settings))
    return found


def begin(request: Inspection) -> tuple[str, str]:
    """The names of the last layer's weight and bias; raises ValueError without such a layer, or
    without public samples.
    """
    if request.view.public is None:
        raise ValueError("view.public: None; attack 'second_order' assumes public samples")
    return request.anatomy.head


def last_layer_gradient(view: WhiteBoxView, anatomy: Anatomy | None = None) -> Tensor:
    """The forgotten samples' gradient in [W, b] of the last layer at θ, (classes, features + 1), up
    to scale.

    Estimated on `view.public`; without it, to first order, as θ_u − θ. `view.weight_decay` adds the
    penalty's own curvature. Raises ValueError where the models do not match, NothingChanged where
    the layer is the same in both.
    """
    anatomy = anatomy or anatomy_of_view(view)
    names = anatomy.head
    difference(view.net, view.before, view.after)
    before, after = joined(view.before, names), joined(view.after, names)
    change = after - before
    if not change.any():
        raise NothingChanged(
            "after: its last linear layer equals that of before; there is nothing to invert"
        )
    if view.public is None:
        return change
    rows = entered(anatomy, view.before, view.public)
    answers = (rows @ after.T).softmax(1) - (rows @ before.T).softmax(1)
    return answers.T @ rows / len(rows) + (view.weight_decay or 0) * change


def last_features(view: WhiteBoxView, anatomy: Anatomy | None = None) -> Separated:
    """Labels, output errors and last features of the forgotten samples, from `last_layer_gradient`.

    One sample's gradient is e [h, 1]ᵀ: the best matrix of rank one, its last entry being 1; where
    that entry was lost in rounding no length is known, and the features are 0. Several are told
    apart by `separate`, fewer than the classes. `cost` of one sample: the share of the matrix that
    rank one leaves.
    """
    anatomy = anatomy or anatomy_of_view(view)
    slopes = last_layer_gradient(view, anatomy)
    if view.num_forgotten > 1:
        names = anatomy.head
        slopes = slopes.to(view.before[names[0]])
        update = {names[0]: slopes[:, :-1], names[1]: slopes[:, -1]}
        return separate(view, anatomy, view.before, update)
    left, sizes, right = torch.linalg.svd(slopes, full_matrices=False)
    last = right[0, -1]
    errors = left[:, 0] * sizes[0] * last
    labels = view.labels.cpu() if view.labels is not None else errors.argmin()[None]
    rest = 1 - (sizes[0] / sizes.norm()).square().item()
    features = right[0, :-1] / last if last else torch.zeros_like(right[0, :-1])
    return Separated(labels, errors[None], features[None], rest)


def recover(
    request: Inspection,
    *,
    session: Session,
    settings: Search = Search(),
) -> Reconstruction:
    """The forgotten samples: of a linear model at once, else by a search for inputs with the
    recovered features.

    Raises what `last_layer_gradient` and `separate` raise.
    """
    started = time.perf_counter()
    view, anatomy = request.view, request.anatomy
    found = last_features(view, anatomy)
    like = view.before[anatomy.head[0]]
    features = found.features.to(like)
    if is_linear(anatomy):
        inputs, loss = anatomy.inputs_of(features), torch.zeros(1, 1).to(like)
    else:
        inputs, loss = _inputs_with(view, anatomy, features, session, settings)
    labels, seconds = found.labels.to(like.device), time.perf_counter() - started
    return Reconstruction(inputs, labels, loss, seconds, request.remarks)


def is_linear(anatomy: Anatomy) -> bool:
    """Whether the last linear layer is all that the net has learned, so that its features are the
    inputs, at most normalised.
    """
    return anatomy.layers == (anatomy.last,) and anatomy.normalisation is not None


def first_order(view: WhiteBoxView) -> WhiteBoxView:
    """The same view without what the second order needs: a baseline."""
    return replace(view, public=None, weight_decay=None)


def _inputs_with(
    view: WhiteBoxView,
    anatomy: Anatomy,
    features: Tensor,
    session: Session,
    settings: Search,
) -> tuple[Tensor, Tensor]:
    """(inputs, (1, 1) cost): of several starts, each sample's best by the distance of its
    features.
    """
    layer, shape = anatomy.linear, (len(features), *view.input_shape)
    start = (
        (0.5 + 0.25 * torch.randn(STARTS, *shape, generator=session.rng)).clamp(0, 1).to(features)
    )

    def costs(inputs: Tensor) -> Tensor:
        away: Tensor = (features_of(view.net, view.before, layer, inputs) - features).norm(dim=1)
        cost: Tensor = away / features.norm(dim=1) + settings.tv * total_variation(inputs)
        return cost

    def cost_of(variables: list[Tensor], data: tuple[()], share: Share) -> tuple[Tensor, Tensor]:
        cost = costs(variables[0]).sum()
        return cost, cost

    watch, within = session.watch, replace(session, chunk=STARTS)
    shown = None if watch is None else lambda stacked: watch(stacked[:1])
    rates = annealed(0.1, settings.iterations)
    with slow_attention():  # the fast kernels have no derivative in the inputs
        x = descend(cost_of, [start], (), rates=rates, session=within, top=1, watch=shown).last[0]
    with torch.no_grad():
        cost = torch.stack([costs(inputs) for inputs in x])
    best = cost.argmin(0)
    return x[best, torch.arange(len(features))], cost.min(0).values.mean().reshape(1, 1)
