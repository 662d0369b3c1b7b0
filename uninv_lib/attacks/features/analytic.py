"""The closed form: through fully connected layers, or an embedding of patches with positions, the
forgotten samples are read off the update.
"""

from __future__ import annotations

import time
from itertools import pairwise

import torch
from torch import Tensor

from uninv_lib.anatomy import Anatomy, both, fitting, joined, met, tried, within
from uninv_lib.attacks.features.linear_relu import filled, recover_people
from uninv_lib.attacks.features.patches import patches_of
from uninv_lib.attacks.inspection import Inspection, inspect_view
from uninv_lib.attacks.search.error import shown
from uninv_lib.attacks.search.last_layer import separate
from uninv_lib.attacks.search.told import told
from uninv_lib.attacks.search.update import NothingChanged, forgotten_gradient
from uninv_lib.attacks.session import Session
from uninv_lib.types import Reconstruction, State, WhiteBoxView

APPLIES = (
    "one sample and a first layer that is linear with bias, or embeds patches that get a learned "
    "position; or several that stand above rounding and a ReLU behind that layer; or fewer than "
    "classes, linear and ReLU alone"
)


def analytic(view: WhiteBoxView, *, session: Session, budget: str = "default") -> Reconstruction:
    """The closed form; it draws nothing and takes no time worth a budget.

    Raises what `begin` raises.
    """
    return begin(inspect_view(view))


def begin(request: Inspection) -> Reconstruction:
    """All that the attack does. Raises ValueError where it does not apply, and what `recover`
    raises.
    """
    found = recover(request)
    if found is None:
        forgotten = request.view.num_forgotten
        raise ValueError(f"attack: 'analytic' with {forgotten} forgotten; allowed: {APPLIES}")
    return found


def applies(request: Inspection) -> bool:
    """Whether the samples can be read off linear layers: one, where the first layer with parameters
    is linear and has a bias; several, fewer than the classes, where linear layers with bias and
    ReLU are all there is; and what reaches the first is the inputs, at most normalised.
    """
    view, anatomy = request.view, request.anatomy
    if view.num_forgotten == 1:
        linear = anatomy.starts_dense and _alone(request)
    else:
        softmax = view.loss in (None, "cross_entropy")
        linear = (
            softmax and anatomy.dense and view.num_forgotten < len(view.before[anatomy.head[1]])
        )
    return linear and anatomy.normalisation is not None and _first_told(request)


def _alone(request: Inspection) -> bool:
    """Whether the first layer's weight serves there alone, and is not tied to another place."""
    anatomy, name = request.anatomy, both(request.anatomy.layers[0])[0]
    state = fitting(anatomy.net, request.view.before)
    if name not in state:
        return False
    weight, inputs = state[name].detach().requires_grad_(), tried(anatomy.input_shape, state)
    with torch.enable_grad():
        point = {**state, name: weight}
        entered, given, output = met(anatomy.net, point, anatomy.layers[0], inputs)
    own, slope = torch.autograd.grad(output.square().sum(), [weight, given])
    return bool((own - slope.T @ entered).norm() <= torch.finfo(own.dtype).eps ** 0.4 * own.norm())


def _first_told(request: Inspection) -> bool:
    """Whether the first layer moved, by its gradient."""
    view, layers = request.view, request.anatomy.layers
    if request.signs is not None:
        return request.errors_told and layers == (request.anatomy.last,)
    names = both(layers[0]) if layers else ()
    if any(name not in request.noise for name in names):  # of what they are made instead
        return False
    return any(not torch.equal(view.before[name], view.after[name]) for name in names)


def recover(request: Inspection) -> Reconstruction | None:
    """The forgotten samples in closed form, None where there is none; the normalisation is undone.

    Raises ValueError where the models do not match, NothingChanged where they agree.
    """
    people = recover_people(request)
    if people is not None and not (people[1] and applies(request)):
        return people[0]
    started = time.perf_counter()
    view, anatomy = request.view, request.anatomy
    remarks, remark = request.remarks, ""
    if applies(request):
        update, point = forgotten_gradient(view)
        if view.num_forgotten == 1:
            x, (labels, remark) = _one(anatomy, update), _label(view, anatomy, update, point)
        else:
            x, labels = _several(view, anatomy, update, point)
        inputs = anatomy.inputs_of(x)
    elif request.signs is None and (patches := patches_of(view, anatomy)) is not None:
        labels, remark = _label(view, anatomy, *forgotten_gradient(view))
        inputs, apart = patches.solved()
        inputs = inputs.to(view.before[both(anatomy.layers[0])[0]]).reshape(1, *view.input_shape)
        remarks += _told_apart(apart, len(patches.errors))
    else:
        return None
    remarks += (remark,) if remark else ()
    none, seconds = torch.zeros(1, 1).to(inputs), time.perf_counter() - started
    found = Reconstruction(inputs, labels.to(inputs.device), none, seconds, remarks)
    return found if people is None else filled(*people, found)


def _told_apart(apart: float, count: int) -> tuple[str, ...]:
    if apart > 0.9 * count:
        return ()
    return (
        f"patches: the update tells {apart:.0f} of {count} apart; what it does not tell is grey",
    )


def _label(
    view: WhiteBoxView, anatomy: Anatomy, update: dict[str, Tensor], point: State
) -> tuple[Tensor, str]:
    """(1,), or (1, classes), of one sample, known or from the last layer; and a remark."""
    _, labels, remark = told(view, anatomy, point, update, shown(anatomy, point))
    return labels, remark if labels.min() >= 0 else ""


def _several(
    view: WhiteBoxView, anatomy: Anatomy, update: dict[str, Tensor], point: State
) -> tuple[Tensor, Tensor]:
    """(normalised inputs, labels): the samples are told apart in the last layer, then followed down
    (ours).

    In each layer the update is Σ e_k [a_k, 1]ᵀ. With every e_k known the a_k follow by least
    squares, and with them the errors of the layer below, e = (Wᵀ e_k) where a_k > 0.
    """
    found = separate(view, anatomy, point, update)
    errors, entered = found.errors, found.features
    if not (torch.isfinite(errors).all() and torch.isfinite(entered).all()):
        raise NothingChanged(f"after: {anatomy.last!r} changed too little to tell samples apart")
    for upper, lower in pairwise(reversed(anatomy.layers)):
        errors = (errors @ point[within(upper, "weight")].cpu().double()) * (entered > 0)
        rows = joined(update, both(lower))
        solution = torch.linalg.lstsq(errors.T, rows).solution
        entered = (solution[:, :-1] / solution[:, -1:]).nan_to_num(
            0
        )  # the mean, for a sample without any error
    return entered, found.labels


def _one(anatomy: Anatomy, update: dict[str, Tensor]) -> Tensor:
    """The normalised input from the first layer's update (Geiping et al. 2020, section 3;
    Phong et al. 2018).

    Unit i moved its weights by e_i · x and its bias by e_i, so the rows (ΔW_i, Δb_i) are multiples
    of one vector (x, 1). It is read off the best matrix of rank one (ours): with noise of relative
    norm s on every parameter, a first layer of n units and one sample, the cosine with the true x
    is about 1/√(1 + s²/n), which is what somebody who knew every e_i could reach. The sign and the
    length come from the last entry, which is 1, but the input stays within reach of [0, 1] even
    where noise drowns that entry; from s of about √n on, the sign is lost at times. Exact for one
    sample's gradient; of the stated attack on exact unlearning, it gives a mixture.
    """
    rows = joined(update, both(anatomy.layers[0]))
    if not rows[:, -1].any():
        raise NothingChanged(
            f"after: the bias of {anatomy.layers[0]!r} did not change; there is nothing to divide "
            "by"
        )
    units = torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -1]
    direction, last = (rows.T @ units).split([rows.shape[1] - 1, 1])
    mean, scale = anatomy.affine()
    reach = torch.maximum(mean, 1 - mean).div(scale).abs().flatten().cpu()  # of what is normalised
    length = torch.maximum(last.abs(), (direction.abs() / reach).quantile(0.95))
    length = length.clamp(min=torch.finfo(length.dtype).tiny)  # 0 where rounding emptied the rows
    found: Tensor = last.sign() * direction / length
    return found
