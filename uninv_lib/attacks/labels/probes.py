"""Probing samples: inputs that the model before takes, with high confidence, for a class (eq.
8).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from uninv_lib.support.progress import Progress, steps
from uninv_lib.types import Predict

CONFIDENCE = 0.9995  # where the official code stops; a probe that reached it is left alone
MIDDLING = 0.5  # where answers move most: p (1 − p) is largest (ours)
HALVINGS = 22  # of the way between two inputs in [0, 1]: as many as float32 can tell apart


class Counted:
    """A predict that counts the answers it gave."""

    def __init__(self, predict: Predict) -> None:
        self.predict, self.queries = predict, 0

    def __call__(self, inputs: Tensor) -> Tensor:
        """Answers to (n, ...) inputs, which count as n queries."""
        self.queries += len(inputs)
        return self.predict(inputs)


def margin(probabilities: Tensor, labels: Tensor) -> Tensor:
    """max over i ≠ t of Z_i − Z_t for each input (eq. 8), (n,): log-probabilities differ as the
    logits do.
    """
    log = probabilities.clamp_min(1e-30).log()
    own = log.gather(1, labels[:, None])[:, 0]
    return log.scatter(1, labels[:, None], -torch.inf).amax(1) - own


def _by_gradient(predict: Predict, inputs: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The margin's gradient, asked of the model (white box)."""
    x = inputs.detach().requires_grad_()
    value = margin(predict(x), labels).sum()
    if not value.requires_grad:
        raise ValueError(
            "predict: gives no gradient; allowed for method='gradient': a model seen from "
            "inside, else 'zoo'"
        )
    slope: Tensor = torch.autograd.grad(value, x)[0]
    return slope


def _by_zoo(predict: Predict, inputs: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The margin's gradient by symmetric differences along random coordinates (ZOO, Chen et al.
    2017).

    For images the coordinates are those of an 8-pixel grid, enlarged, which is ZOO's reduction of
    dimension; a quarter of the coordinates (at most 48) is asked at a time, two answers each.
    """
    shape = inputs.shape[1:]
    small = shape if len(shape) == 1 else (shape[0], min(8, shape[1]), min(8, shape[2]))
    picked = torch.randperm(prod(small), generator=rng)[: min(48, max(1, prod(small) // 4))]
    directions = torch.eye(prod(small))[picked].reshape(-1, *small)
    if len(shape) == 3:
        directions = interpolate(directions, size=shape[1:], mode="bilinear")
    directions = directions.to(inputs)
    reach = 0.05
    slope = torch.zeros_like(inputs)
    for i, (x, label) in enumerate(zip(inputs, labels, strict=True)):
        asked = torch.cat([x + reach * directions, x - reach * directions]).clamp(0, 1)
        values = margin(predict(asked), label.expand(len(asked)))
        difference = (values[: len(directions)] - values[len(directions) :]) / (2 * reach)
        slope[i] = (difference.reshape(-1, *[1] * len(shape)) * directions).sum(0)
    return slope


def _public(
    predict: Predict, classes: int, count: int, public: Tensor, rng: torch.Generator
) -> Tensor:
    """For each class the public samples taken for it with a confidence nearest to the middle:
    `count`, or as many as there are of the rarest class.
    """
    confidence, taken = predict(public).max(1)
    there = torch.bincount(taken, minlength=classes)
    if not there.all():
        raise ValueError(
            f"public: no sample is taken for class {int(there.argmin())}; allowed: one or "
            "more of each"
        )
    count, chosen = min(count, int(there.min())), []
    for label in range(classes):
        own = (taken == label).nonzero()[:, 0]
        chosen.append(public[own[(confidence[own] - MIDDLING).abs().argsort(stable=True)[:count]]])
    return torch.stack(chosen)


def _boundary(
    predict: Predict, classes: int, count: int, public: Tensor, rng: torch.Generator
) -> Tensor:
    """For each class points on its side of the boundary, between a public sample taken for it and
    one that is not.

    Bisection asks for nothing but the predicted class.
    """
    taken, starts, ends = predict(public).argmax(1), [], []
    for label in range(classes):
        own, other = (taken == label).nonzero()[:, 0], (taken != label).nonzero()[:, 0]
        if not len(own) or not len(other):
            raise ValueError(
                f"public: {len(own)} of {len(public)} are taken for class {label}; allowed: "
                "some, not all"
            )
        starts += own[torch.randint(len(own), (count,), generator=rng)].tolist()
        ends += other[torch.randint(len(other), (count,), generator=rng)].tolist()
    inside, outside = public[starts], public[ends]
    labels = torch.arange(classes, device=public.device).repeat_interleave(count)
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        within = (predict(middle).argmax(1) == labels).reshape(-1, *[1] * (public.ndim - 1))
        inside, outside = torch.where(within, middle, inside), torch.where(within, outside, middle)
    return inside.reshape(classes, count, *public.shape[1:])


SEARCHED: dict[str, Callable[[Predict, Tensor, Tensor, torch.Generator], Tensor]] = {
    "gradient": _by_gradient,
    "zoo": _by_zoo,
    "middling": _by_zoo,
}
NATURAL: dict[str, Callable[[Predict, int, int, Tensor, torch.Generator], Tensor]] = {
    "public": _public,
    "boundary": _boundary,
}
METHODS = (*SEARCHED, *NATURAL)


def make_probes(
    predict: Predict,
    num_classes: int,
    input_shape: tuple[int, ...],
    *,
    rng: torch.Generator,
    method: str = "zoo",
    count: int = 10,
    iterations: int = 60,
    lr: float = 0.1,
    like: Tensor | None = None,
    public: Tensor | None = None,
    progress: Progress = False,
) -> Tensor:
    """(num_classes, count, *input_shape) probes in [0, 1], made with the model before alone.

    Noise, clipped to [0, 1], follows the margin of eq. 8 downhill (Adam) until its confidence
    reaches 0.9995 or `iterations` end. method: "zoo" needs nothing but probabilities, "gradient" a
    model seen from inside; "middling" is zoo that stops at 0.5 (ours). The official code makes 20
    probes a class and uses 10. Two methods choose instead of searching, an assumption beyond the
    paper (ours): of `public`, (n, *input_shape), "public" takes samples of middling confidence,
    fewer than `count` where a class has fewer, and "boundary" points where the predicted class
    changes, by predicted classes alone. like: a tensor whose dtype and device the probes take.
    Raises ValueError for an unknown method, a predict that does not fit it, or public samples that
    do not.
    """
    if method not in METHODS:
        raise ValueError(f"method: {method!r}; allowed: {', '.join(METHODS)}")
    if count < 1 or iterations < 1:
        raise ValueError(f"count: {count}, iterations: {iterations}; allowed: 1 or more")
    if method in NATURAL:
        if public is None or public.shape[1:] != input_shape:
            shape = None if public is None else tuple(public.shape)
            raise ValueError(
                f"public: {shape} for method={method!r}; allowed: samples (n, {input_shape})"
            )
        with torch.no_grad():
            return NATURAL[method](
                predict, num_classes, count, public if like is None else public.to(like), rng
            )
    stop = MIDDLING if method == "middling" else CONFIDENCE
    labels = torch.arange(num_classes).repeat_interleave(count)
    x = (0.5 + 0.25 * torch.randn(len(labels), *input_shape, generator=rng)).clamp(0, 1)
    x = x if like is None else x.to(like)
    labels = labels.to(x.device)
    mean, power = torch.zeros_like(x), torch.zeros_like(x)
    with steps(iterations, "probes", progress) as tick:
        for i in range(1, iterations + 1):
            with torch.no_grad():
                confidence = predict(x).gather(1, labels[:, None])[:, 0]
            todo = (confidence < stop).nonzero()[:, 0]
            if len(todo) == 0:
                break
            slope = SEARCHED[method](predict, x[todo], labels[todo], rng).detach()
            mean[todo] = 0.9 * mean[todo] + 0.1 * slope
            power[todo] = 0.99 * power[todo] + 0.01 * slope.square()
            pace = (mean[todo] / (1 - 0.9**i)) / ((power[todo] / (1 - 0.99**i)).sqrt() + 1e-8)
            x[todo] = (x[todo] - lr * pace).clamp(0, 1)
            tick()
    return x.reshape(num_classes, count, *input_shape)
