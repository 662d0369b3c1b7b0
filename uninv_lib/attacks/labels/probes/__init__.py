"""Probing samples: inputs that the model before takes, with high confidence, for a class (eq. 8).

One way to find them a file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from uninv_lib.attacks.labels.probes.asked import Counted
from uninv_lib.attacks.labels.probes.boundary import boundary
from uninv_lib.attacks.labels.probes.gradient import gradient
from uninv_lib.attacks.labels.probes.middling import middling
from uninv_lib.attacks.labels.probes.public import public
from uninv_lib.attacks.labels.probes.zoo import zoo
from uninv_lib.attacks.session import Session
from uninv_lib.support.progress import Progress
from uninv_lib.types import BlackBoxView, unknown

__all__ = ["METHODS", "Counted", "Probing", "make_probes", "method_of"]


@dataclass(frozen=True)
class Probing:
    """function: (view, count, *, session, settings) -> probes, asking `view.before` alone; assumes:
    fields of the view that it needs beyond the threat model; searched: whether more probes take
    more answers, so that a budget tells how many to make, else there are as many as samples allow.
    """

    function: Callable[..., Tensor]
    assumes: tuple[str, ...] = ()
    searched: bool = True


METHODS: dict[str, Probing] = {
    "gradient": Probing(gradient),
    "zoo": Probing(zoo),
    "middling": Probing(middling),
    "public": Probing(public, assumes=("public",), searched=False),
    "boundary": Probing(boundary, assumes=("public",)),
}


def method_of(name: str) -> Probing:
    """Of METHODS. Raises ValueError for another name."""
    if name not in METHODS:
        raise ValueError(unknown("method of probing", name, METHODS))
    return METHODS[name]


def make_probes(
    view: BlackBoxView,
    *,
    rng: torch.Generator,
    method: str = "zoo",
    count: int = 10,
    iterations: int | None = None,
    lr: float | None = None,
    progress: Progress = False,
) -> Tensor:
    """(num_classes, count, *input_shape) probes in [0, 1], made with the model before alone.

    method: of METHODS. "zoo" needs nothing but probabilities, "gradient" a model seen from inside;
    "middling" is zoo that stops at a confidence of 0.5 (ours). The official code makes 20 probes a
    class and uses 10. Two choose instead of searching, an assumption beyond the paper (ours): of
    `view.public`, "public" takes samples of middling confidence, fewer than `count` where a class
    has fewer, and "boundary" points where the predicted class changes, by predicted classes alone.
    iterations, lr: of those that search; without, the method's own (60 and 0.1). Raises ValueError
    for an unknown method, settings that it does not have, a predict that does not fit it, or public
    samples that do not.
    """
    function = method_of(method).function
    if count < 1:
        raise ValueError(f"count: {count}; allowed: 1 or more")
    given = {"iterations": iterations, "lr": lr}
    settings = {name: value for name, value in given.items() if value is not None}
    other = sorted(set(settings) - set(inspect.signature(function).parameters))
    if other:
        raise ValueError(f"settings: {other}; allowed of {method!r}: none")
    return function(view, count, session=Session([rng], progress=progress), **settings)
