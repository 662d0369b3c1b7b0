"""The attacks. They receive a view and nothing else; a test keeps this package away from data and
training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

import torch
from torch import Tensor
from typing_extensions import Unpack

from uninv_lib.attacks.features import analytic as closed
from uninv_lib.attacks.features import second_order as second
from uninv_lib.attacks.features.analytic import analytic
from uninv_lib.attacks.features.fast import BEST, FAST, begin, best, fast, solve
from uninv_lib.attacks.features.inner_maps import INNER_MAPS, inner_maps
from uninv_lib.attacks.features.paper import PAPER, paper
from uninv_lib.attacks.features.second_order import second_order
from uninv_lib.attacks.inspection import Inspection, inspect_view
from uninv_lib.attacks.labels import answers
from uninv_lib.attacks.labels.answers import infer_labels
from uninv_lib.attacks.labels.by_parameters import labels_of_parameters
from uninv_lib.attacks.labels.probes import make_probes
from uninv_lib.attacks.membership.difference import membership
from uninv_lib.attacks.search.recovery import search
from uninv_lib.attacks.search.settings import Changes, changed
from uninv_lib.attacks.search.target import target_of
from uninv_lib.attacks.session import MEMORY, Session, Watch, numbered
from uninv_lib.support.progress import Progress
from uninv_lib.types import Reconstruction, WhiteBoxView, unknown

__all__ = [
    "ATTACKS",
    "Attack",
    "Session",
    "analytic",
    "best",
    "fast",
    "infer_labels",
    "inner_maps",
    "labels_of_parameters",
    "make_probes",
    "membership",
    "paper",
    "recover_batch",
    "recover_features",
    "second_order",
]


@dataclass(frozen=True)
class Attack:
    """function: (view, *, session, budget, options) -> one of Found, where the view's annotation
    says which one it sees; assumes: fields of the view that it needs beyond the threat model;
    settings: what `recover_features` may change of it; together: (inspected views, settings,
    session) -> results, of an attack that has settings; begin: an inspected view -> what it reads
    before it searches; raises what stands in the attack's way.
    """

    function: Callable[..., Any]
    assumes: tuple[str, ...] = ()
    settings: Any = None
    together: Callable[[Sequence[Inspection], Any, Session], list[Reconstruction]] | None = None
    begin: Callable[[Inspection], object] | None = None


ATTACKS: dict[str, Attack] = {
    "paper": Attack(paper, ("labels",), PAPER, search, partial(target_of, error_known=False)),
    "fast": Attack(fast, settings=FAST, together=solve, begin=begin),
    "best": Attack(best, settings=BEST, together=solve, begin=begin),
    "inner_maps": Attack(inner_maps, settings=INNER_MAPS, together=solve, begin=begin),
    "analytic": Attack(analytic, begin=closed.begin),
    "second_order": Attack(second_order, ("public",), second.Search(), second.solve, second.begin),
    "labels": Attack(answers.labels),
    "membership": Attack(membership, ("shadows", "candidates")),
}


def recover_features(
    view: WhiteBoxView,
    *,
    rng: torch.Generator,
    attack: str = "fast",
    progress: Progress = False,
    callback: Callable[[int, Tensor], None] | None = None,
    **settings: Unpack[Changes],
) -> Reconstruction:
    """Rebuild the forgotten samples from the two models.

    attack: of ATTACKS, one on features. settings: fields of the attack's settings (iterations,
    restarts, lr, tv, patience, ...; see `Settings`, and `second_order.Search`), which stand for a
    budget. callback(step, inputs) sees the pictures as they emerge, the steps counted on from start
    to start.

    Raises ValueError for an unknown attack or setting and for a missing assumption, and what the
    attack raises.
    """
    watch = numbered(callback)
    return recover_batch(
        [view], rngs=[rng], attack=attack, progress=progress, watch=watch, **settings
    )[0]


def recover_batch(
    views: Sequence[WhiteBoxView],
    *,
    rngs: Sequence[torch.Generator],
    attack: str = "fast",
    progress: Progress = False,
    watch: Watch | None = None,
    memory: float = MEMORY,
    **settings: Unpack[Changes],
) -> list[Reconstruction]:
    """The same for several requests at once, a generator each; those to the same model run as one
    batch.

    What is found of a request does not depend on the others beyond rounding. watch sees the
    pictures of all that still move, (targets, n, ...). memory: bytes that one iteration may take;
    more targets go in chunks. Reconstruction.seconds is each request's share of its batch.
    """
    if attack not in _on_features():
        raise ValueError(unknown("attack", attack, _on_features()))
    if len(rngs) != len(views):
        raise ValueError(f"rngs: {len(rngs)} for {len(views)} views; allowed: one each")
    session = Session(rngs, progress=progress, watch=watch, memory=memory)
    chosen = ATTACKS[attack]
    if chosen.together is not None:
        requests = [inspect_view(view) for view in views]
        return chosen.together(requests, changed(chosen.settings, settings), session)
    if settings:
        raise ValueError(f"settings: {sorted(settings)}; allowed of {attack!r}: none")
    return [chosen.function(view, session=session.of([i])) for i, view in enumerate(views)]


def _on_features() -> list[str]:
    """The names of the attacks that give a Reconstruction."""
    hints = {name: get_type_hints(attack.function) for name, attack in ATTACKS.items()}
    return [name for name, hint in hints.items() if hint["return"] is Reconstruction]
