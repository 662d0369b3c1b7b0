from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Session:
    rngs: tuple
    progress: Any = False
    watch: Any = None
    memory: float = 1e9
    keep: Any = lambda name, compute: compute()

    @property
    def rng(self):
        return self.rngs[0]
