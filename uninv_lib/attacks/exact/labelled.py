"""The people in front of a linear layer with a ReLU behind it, with their labels, and the proof by
the net above it (ours).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from uninv_lib.anatomy import both, fitting, joined, met, tried
from uninv_lib.attacks.exact.people import People, people_in
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.losses import loss_of
from uninv_lib.attacks.search.update import forgotten_gradient
from uninv_lib.types import State

ALLOWED, EXACT = 5.0, 0.03
"""How many times what rounding explains may be left; and how far, relatively, an input that is
certified may be off at most."""


@dataclass(frozen=True)
class Labelled:
    """people: the first of them stand farthest above rounding; labels: (found,) int64; errors:
    (found, classes), of their logits, up to one scale; left: (found,), the share of each one's part
    of the layer's update that the net does not make of what entered and the label; certified:
    (found,), whether that is no more than rounding makes, for all, and what entered is then right.
    """

    people: People
    labels: Tensor
    errors: Tensor
    left: Tensor
    certified: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def people_at(request: Inspection, layer: str) -> Labelled | None:
    """Who is told apart in front of this layer; None where nobody is.

    Raises what `forgotten_gradient` raises.
    """
    loss = request.view.loss
    softmax = loss in (None, "cross_entropy") or callable(loss)
    plain = request.signs is None and request.weights is None and not request.drowned
    if not (softmax and plain and _has_relu(request, layer)):
        return None
    update, point = forgotten_gradient(request.view)
    names = both(layer)
    change = joined(update, names)
    if not change.any():
        return None
    net, noise = _Net(request, layer, point), _factor(request) * joined(request.noise, names)
    eps, most = torch.finfo(point[names[0]].dtype).eps, request.view.num_forgotten
    people = people_in(change, noise, joined(point, names), net.slopes, most=most, eps=eps)
    return None if people is None else net.label(people)


def _has_relu(request: Inspection, layer: str) -> bool:
    """Whether a layer is linear with bias, serves there alone, and a ReLU stands behind it."""
    anatomy, names = request.anatomy, both(layer)
    linear = isinstance(anatomy.net.get_submodule(layer), nn.Linear)
    if not linear or any(name not in request.noise for name in names):
        return False
    state = fitting(anatomy.net, request.view.before)
    weight = state[names[0]].detach().requires_grad_()
    inputs = tried(anatomy.input_shape, state)
    with torch.enable_grad():
        entered, given, output = met(anatomy.net, {**state, names[0]: weight}, layer, inputs)
        rng = torch.Generator().manual_seed(0)
        seen = (output * torch.randn(output.shape, generator=rng).to(output)).sum()
    if entered.ndim != 2 or not given.requires_grad or given is output:
        return False
    own, slope = torch.autograd.grad(seen, [weight, given], allow_unused=True)
    if own is None or slope is None or slope[given < 0].any() or not (given < 0).any():
        return False
    away = (own - slope.T @ entered).norm()
    return bool(slope.any() and away <= torch.finfo(own.dtype).eps ** 0.4 * own.norm())


def _factor(request: Inspection) -> float:
    """By which rounding grows in the estimate of the gradient, see `forgotten_gradient`."""
    view = request.view
    if view.pretrained is None or view.private_size is None:
        return 1.0
    size, count = view.private_size, view.num_forgotten
    return float(((count**2 + size**2 + (size - count) ** 2) / 2) ** 0.5)


@dataclass(frozen=True)
class _Made:
    """What the net makes of what entered: labels, (n,); slopes in what the layer gives, (n, units),
    and errors of the logits, (n, classes), in the update's scale; lengths: of the errors that the
    update tells; rough: how far the two may be apart, (n,).
    """

    labels: Tensor
    slopes: Tensor
    errors: Tensor
    lengths: Tensor
    rough: Tensor


@dataclass(frozen=True)
class _Net:
    """The net from a layer on, with the model at which the update was made."""

    request: Inspection
    layer: str
    point: State

    def label(self, people: People) -> Labelled:
        """With labels, and what entered proven by the errors that the net makes of it."""
        made = self._made(people)
        left = (people.errors - made.slopes).norm(dim=1) / made.lengths
        allowed = ALLOWED * made.rough / made.lengths
        lost = left * made.lengths
        off = (lost.sum() - lost) / made.lengths + ALLOWED * people.spread
        right = (off < EXACT) & (left <= allowed).all()
        return Labelled(people, made.labels, made.errors, left, right)

    def slopes(self, entered: Tensor) -> Tensor:
        """See `Slopes`."""
        return self._slopes(entered, torch.double)[0]

    def _made(self, people: People) -> _Made:
        """By the label that fits best, and each one's own rate, for a loss may weigh them."""
        every, answers = self._slopes(people.entered, torch.double)
        fits = torch.cosine_similarity(every, people.errors[:, None], dim=2)
        labels, here = fits.argmax(1), torch.arange(len(people))
        slopes, lengths = every[here, labels], people.errors.norm(dim=1)
        rates = (people.errors * slopes).sum(1) / slopes.square().sum(1)
        rough = rates.abs() * self._rough(people, labels, slopes) + people.rough
        rates = rates[:, None]
        return _Made(labels, rates * slopes, rates * self._errors(answers, labels), lengths, rough)

    def _rough(self, people: People, labels: Tensor, slopes: Tensor) -> Tensor:
        """(found,): how far slopes may be off by what entered and by the arithmetic that unlearning
        used.
        """
        here, rng = torch.arange(len(labels)), torch.Generator().manual_seed(0)
        draw = torch.randn(people.entered.shape, generator=rng, dtype=torch.double)
        moved = people.entered + people.spread[:, None] * draw
        fine, coarse = (
            (self._slopes(*kind)[0][here, labels].double() - slopes).norm(dim=1)
            for kind in ((moved, torch.double), (people.entered, torch.float))
        )
        own = torch.finfo(self.point[both(self.layer)[0]].dtype).eps
        off: Tensor = fine + coarse * (own / torch.finfo(torch.float).eps)
        return off

    @cached_property
    def _loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        function: Callable[[Tensor, Tensor], Tensor] = loss_of(self.request.view)[0].function
        return function

    def _run(self, entered: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(what the layer gives, logits) where this enters it."""
        anatomy = self.request.anatomy
        state = {
            name: t.to(dtype) if t.is_floating_point() else t
            for name, t in fitting(anatomy.net, self.point).items()
        }
        weight = state[both(self.layer)[0]]
        inputs = weight.new_zeros(len(entered), *anatomy.input_shape)
        module = anatomy.net.get_submodule(self.layer)
        handle = module.register_forward_pre_hook(lambda *_: (entered.to(weight),))
        try:
            _, given, output = met(anatomy.net, state, self.layer, inputs)
        finally:
            handle.remove()
        return given, output

    def _errors(self, answers: Tensor, labels: Tensor) -> Tensor:
        free = answers.detach().requires_grad_()
        with torch.enable_grad():
            loss = self._loss(free, labels) * len(free)
        errors: Tensor = torch.autograd.grad(loss, free)[0]
        return errors

    def _slopes(self, entered: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(n, classes, units), the loss's slopes in what the layer gives, for each label; and (n,
        classes), the logits.
        """
        with torch.enable_grad():
            given, output = self._run(entered.detach().requires_grad_(), dtype)
            found = []
            for label in range(output.shape[1]):
                labels = torch.full((len(entered),), label, device=output.device)
                loss = self._loss(output, labels) * len(entered)
                found.append(torch.autograd.grad(loss, given, retain_graph=True)[0])
        return torch.stack(found, 1).cpu(), output.detach().cpu()
