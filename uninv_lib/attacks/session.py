"""What travels through an attack beside its view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor

from uninv_lib.support.progress import Progress, steps

MEMORY = 1e9
"""Bytes for one iteration, of which more make it no faster on a CPU (`benchmarks/attack.py step`,
convnet)."""

Compute = Callable[[], dict[str, Tensor]]
Watch = Callable[[Tensor], None]
"""Sees the pictures of all targets that still move, (targets, n, ...)."""


def at_once(name: str, compute: Compute) -> dict[str, Tensor]:
    """`compute()`, kept nowhere."""
    return compute()


def nothing() -> None:
    """A step that nobody counts."""


@dataclass(frozen=True)
class Session:
    """One attack's generators and what it reports to.

    rngs: a generator for each request; progress: of the whole attack; watch: see `Watch`; memory:
    bytes that one iteration may take, more targets go in chunks; keep(name, compute): the tensors
    of compute(), which does not depend on the request, or those that it gave earlier; tick: to call
    after each step, see `steps`; chunk: the targets that an iteration takes together.
    """

    rngs: Sequence[torch.Generator]
    progress: Progress = False
    watch: Watch | None = None
    memory: float = MEMORY
    keep: Callable[[str, Compute], dict[str, Tensor]] = at_once
    tick: Callable[[], None] = nothing
    chunk: int = 1

    @property
    def rng(self) -> torch.Generator:
        """The generator of the first request."""
        return self.rngs[0]

    def of(self, requests: Sequence[int]) -> Session:
        """The same for some of the requests."""
        return replace(self, rngs=[self.rngs[i] for i in requests])

    @contextmanager
    def steps(self, most: int, name: str) -> Iterator[Session]:
        """The same with a `tick` that tells `progress` of at most so many steps of this work."""
        with steps(most, name, self.progress) as tick:
            yield replace(self, tick=tick)


def numbered(callback: Callable[[int, Tensor], None] | None) -> Watch | None:
    """A watcher that tells callback(step, inputs) of the first target, counting from 0."""
    counter = count()
    return None if callback is None else lambda stacked: callback(next(counter), stacked[0])
