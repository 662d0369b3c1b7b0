"""A picture that gives a representation: what `layerwise` ends in (ours).

A start ends right in one part of the picture and in a local minimum in another, and the
representation is local: so there are several starts, of which each part is taken from the best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from uninv_lib.attacks.inspection.batches import statistics_cost
from uninv_lib.attacks.search.costs import total_variation
from uninv_lib.attacks.search.descent import Share, annealed, descend
from uninv_lib.attacks.search.layerwise import distance, halves
from uninv_lib.attacks.search.settings import Settings
from uninv_lib.attacks.search.target import Targets
from uninv_lib.attacks.session import Session
from uninv_lib.models import logits
from uninv_lib.types import State

STARTS, STUCK = 8, 0.005
"""Starts at a time; how far from the representation, beside its length, a picture is of which some
part has ended in a local minimum: others came to 0.0003 to 0.004, those to 0.006 to 0.09 (ours,
measured on CIFAR-10 and photos)."""

Encode = Callable[[Tensor], Tensor]


def picture_of(
    targets: Targets,
    inner: Tensor,
    *,
    picture: Tensor | None,
    settings: Settings,
    session: Session,
) -> Tensor:
    """Inputs, (targets, n, ...), whose representation is `inner`: from `picture`, where an earlier
    round found one, else from several starts, put together, and where that is stuck from others
    beside it, `settings.tries` times in all.
    """
    front, _ = halves(targets.net)
    state = {name: targets.point[name] for name in front.state_dict()}
    search = _Search(front, state, targets.shape, settings)
    if picture is not None:
        return search.descend(picture, inner, session)
    found = search.from_starts(None, inner, session)
    for _ in range(settings.tries - 1):
        away = search.away(found, inner)
        stuck = (away >= STUCK).nonzero()[:, 0]
        if not len(stuck):
            break
        values = inner[stuck]
        other = search.from_starts(found[stuck], values, session.of(stuck.tolist()))
        better = search.away(other, values) < away[stuck]
        found[stuck[better]] = other[better]
    return found


@dataclass(frozen=True)
class _Search:
    """For a picture that gives a representation, (targets, n, ...)."""

    front: nn.Module
    state: State
    shape: tuple[int, ...]
    settings: Settings

    def encode(self, inputs: Tensor) -> Tensor:
        return logits(self.front, self.state, inputs)

    @torch.no_grad()
    def away(self, picture: Tensor, inner: Tensor) -> Tensor:
        """Of each target, (targets,)."""
        each = distance(self.encode, picture.flatten(0, 1), inner.flatten(0, 1))
        away: Tensor = each.unflatten(0, picture.shape[:2]).amax(1)
        return away

    def cost(self, variables: list[Tensor], inner: Tensor, share: Share) -> tuple[Tensor, Tensor]:
        weight = self.settings.tv * self.settings.fading ** max(0.0, 2 * share - 1)
        away = distance(self.encode, variables[0], inner).sum()
        cost = away + weight * total_variation(variables[0]).sum()
        cost = cost + statistics_cost(self.front, self.state, variables[0])
        return cost, cost

    def from_starts(self, picture: Tensor | None, inner: Tensor, session: Session) -> Tensor:
        """picture: what is to be put together with the starts."""
        count, settings = len(inner), self.settings
        tried = torch.cat(
            [
                _starts(self.encode, values, self.shape, settings.colours, rng)
                for values, rng in zip(inner, session.rngs, strict=True)
            ]
        )
        each = inner.repeat_interleave(STARTS, 0)
        rates = annealed(0.1, settings.iterations_of().starts)
        found = descend(self.cost, [tried], each, rates=rates, session=session, top=1).last[0]
        found = found.unflatten(0, (count, STARTS))
        if picture is not None:
            found = torch.cat([picture[:, None], found], 1)
        return self.descend(_best_parts(self.encode, inner, found), inner, session)

    def descend(self, picture: Tensor, inner: Tensor, session: Session) -> Tensor:
        rates = annealed(0.05, self.settings.iterations_of().picture)
        found = descend(
            self.cost, [picture], inner, rates=rates, session=session, top=1, watch=session.watch
        )
        return found.last[0]


def _starts(
    encode: Encode, inner: Tensor, shape: tuple[int, ...], colours: int, rng: torch.Generator
) -> Tensor:
    """(STARTS, n, ...) in random plain colours; every other one takes in each part the colour that
    explains `inner` there best, (n, ...), where colours are to be tried.

    A picture nearly as dark as a night's sky is not found from a plain colour far off.
    """
    noise = 0.1 * torch.randn(STARTS, *shape, generator=rng)
    starts = (torch.rand(STARTS, *shape[:2], 1, 1, generator=rng) + noise).clamp(0, 1).to(inner)
    for i in range(1, STARTS if colours else 0, 2):
        tried = torch.rand(colours, *shape[:2], 1, 1, generator=rng)
        tried[::2] **= 3  # most of them dark
        put = _best_parts(encode, inner[None], tried.expand(-1, *shape)[None].to(inner))[0]
        starts[i] = (put + 0.5 * noise[i].to(inner)).clamp(0, 1)
    return starts


@torch.no_grad()
def _best_parts(encode: Encode, inner: Tensor, tried: Tensor) -> Tensor:
    """Each part of the picture from the start that explains the representation there best,
    (targets, n, ...). tried: (targets, starts, n, ...).
    """
    found = encode(tried.flatten(0, 2)).unflatten(0, tried.shape[:3])
    error = (found - inner[:, None]).flatten(0, 2).square().sum(1, keepdim=True)
    error = avg_pool2d(error, 3, 1, 1, count_include_pad=False)
    error = interpolate(error, size=tried.shape[-2:]).unflatten(0, tried.shape[:3])
    best = error.argmin(1, keepdim=True).expand(-1, 1, *tried.shape[2:])
    chosen: Tensor = tried.gather(1, best)[:, 0]
    return chosen
