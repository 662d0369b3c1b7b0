"""Several people exactly, where the first layer is linear and a ReLU stands behind it, whatever
stands above (after SPEAR, Dimitrov et al. 2024, arXiv 2403.03945; see `exact.people`).
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from uninv_lib.attacks.exact.labelled import Labelled, people_at
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.types import Reconstruction

DOUBTED = 0.5
"""The share of its part of the update that the net does not make of an input from which it is left
out where not all were told apart."""


def recover_people(request: Inspection) -> Reconstruction | None:
    """Several forgotten samples, those that rounding leaves to find, in closed form; None where the
    net is no such one or nobody is told apart.

    Who is found comes first, in no order of theirs; the others are grey, and their labels −1 unless
    they are assumed. `residuals` and `certified` name "input 0" and so on: the share of each one's
    part of the first layer's update that the net does not make of that input and its label; and the
    inputs of whom that is no more than rounding makes, and who are right to within 3%.
    """
    started = time.perf_counter()
    view, anatomy = request.view, request.anatomy
    if view.num_forgotten == 1 or not anatomy.starts_dense or anatomy.normalisation is None:
        return None
    found = people_at(request, anatomy.layers[0])
    if found is None:
        return None
    kept = found.left < (DOUBTED if len(found) < found.people.above else torch.inf)
    order = kept.nonzero()[:, 0][found.people.spread[kept].argsort()]
    if not len(order):
        return None
    like = view.before[f"{anatomy.layers[0]}.weight"]
    entered = found.people.entered[order].to(like)
    grey = like.new_full((view.num_forgotten - len(order), *view.input_shape), 0.5)
    inputs = torch.cat([anatomy.inputs_of(entered), grey])
    names = [f"input {i}" for i in range(len(order))]
    certified = found.certified[order].tolist()
    return Reconstruction(
        inputs,
        _labels(found.labels[order], view.num_forgotten, view.labels).to(like.device),
        torch.zeros(1, 1).to(inputs),
        time.perf_counter() - started,
        request.remarks + _said(found, len(order), view.num_forgotten),
        residuals=dict(zip(names, found.left[order].tolist(), strict=True)),
        certified=tuple(name for name, sure in zip(names, certified, strict=True) if sure),
    )


def _labels(found: Tensor, count: int, known: Tensor | None) -> Tensor:
    """(count,): those of the found, then what is left of the known ones, or −1."""
    rest = [] if known is None else known.tolist()
    for label in found.tolist():
        if label in rest:
            rest.remove(label)
    rest += [-1] * count
    return torch.tensor([*found.tolist(), *rest[: count - len(found)]])


def _said(found: Labelled, told: int, count: int) -> tuple[str, ...]:
    above = found.people.above
    if told == count:
        return ()
    drowned = f"{above} of {count} samples stand above rounding in the update"
    apart = "" if told == above else f", of which {told} were told apart"
    return (f"{drowned}{apart}; the inputs from {told} on are not found but left grey",)
