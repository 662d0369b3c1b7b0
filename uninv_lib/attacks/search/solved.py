"""What enters the layers behind the split, solved instead of searched, where the net is a chain
(ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor, nn

from uninv_lib.attacks.exact.chain import chain_of
from uninv_lib.attacks.exact.inner import Inner, solve_inner
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.search.layerwise import call, halves, split_of
from uninv_lib.attacks.search.settings import Settings
from uninv_lib.attacks.search.target import Targets
from uninv_lib.attacks.session import Session
from uninv_lib.support.threads import fitting_threads

NOTHING = Inner({}, {}, ())


def inner_maps(
    requests: Sequence[Inspection], targets: Sequence[Targets], settings: Settings, session: Session
) -> list[Inner]:
    """Of each request what was solved of its inner maps, drawing from a generator with the seed of
    its own, which nobody else's draws depend on.
    """
    found = [NOTHING] * len(requests)
    if not settings.exact or "layerwise" not in settings.kinds:
        return found
    for i, (request, target) in enumerate(zip(requests, targets, strict=True)):
        chain = chain_of(request) if _cut_fits(target) else None
        if chain is None:
            continue
        rng = torch.Generator().manual_seed(session.rngs[i].initial_seed())
        with (
            fitting_threads(partial(_entering, target)),
            session.steps(2 + settings.exact, "inner maps") as counted,
            suppress(torch.linalg.LinAlgError),  # type: ignore[attr-defined]  # nothing is solved there
        ):
            found[i] = solve_inner(chain, rng, settings.exact, counted.tick) or NOTHING
    return found


def _cut_fits(target: Targets) -> bool:
    """Whether two convolutions stand behind the split, whose maps `solve_inner` solves."""
    if not split_of(target.net):
        return False
    _, back = halves(target.net)
    return sum(isinstance(layer, nn.Conv2d) for layer in back.modules()) == 2


def _entering(target: Targets) -> Tensor:
    """What dummies that are 0 let enter the layers behind the split, (n, ...)."""
    front, _ = halves(target.net)
    return call(front, target.point, target.like.new_zeros(target.shape))


def entering(inner: Inner, target: Targets) -> Tensor | None:
    """What enters the layers behind the split, (1, n, ...), where it is certified."""
    if len(inner.certified) < 2:
        return None
    return inner.values[inner.certified[-1]].to(target.like)[None]


def apart(groups: list[list[int]], entered: Sequence[Tensor | None]) -> list[list[int]]:
    """The groups, each cut in those for whom it is solved and the others."""
    halved = [
        [i for i in group if (entered[i] is None) == missing]
        for group in groups
        for missing in (False, True)
    ]
    return [group for group in halved if group]
