"""Threads that wait go to sleep soon, and a small net has one. Two that wait busily stall each
other where a core has other work.

torch shares the loops of a layer among threads, thousands of times in a recovery, and its OpenMP
runtime lets those that are done spin until the last one is. Beside another program that one is not
on a core, but kept off it by those that spin. To sleep at once is no remedy: then every loop waits
for the scheduler. Measured in benchmarks/threads.py. The runtime (libgomp in torch's wheels for
Linux, LLVM's or Intel's elsewhere) reads these variables once, when it is loaded: so `uninv_lib`
imports this file before torch, and what it starts inherits them.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

BRIEF = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
"""libgomp's number of turns (ours, measured in benchmarks/threads.py; its own is 300,000), and the
milliseconds of LLVM's and Intel's (the least but none; theirs is 200)."""
OWN = (*BRIEF, "OMP_WAIT_POLICY")
"""Where a user has set one of these, nothing is set."""
SMALL = 5e8
"""Floating point operations of a net's call below which one thread makes it (ours). On two cores
its searches take up to 1.6 times as long as two threads do there, and beside a busy process a third
of the time; what they find does not depend on how many cores there are."""


def wait_briefly() -> bool:
    """Set BRIEF for this process and its children, unless the user has chosen how threads wait.

    Returns whether it comes too late for this process, because torch was loaded before.
    """
    if any(name in os.environ for name in OWN):
        return False
    os.environ.update(BRIEF)
    return "torch" in sys.modules


TOO_LATE = wait_briefly()


@lru_cache(maxsize=1)
def remark() -> None:
    """Warn once, before long work, where several threads wait busily."""
    import torch

    if TOO_LATE and torch.get_num_threads() > 1:
        warnings.warn(
            f"torch was imported before uninv_lib, so that its {torch.get_num_threads()} threads "
            "wait busily: beside other work on the same cores they may take ten times as long. "
            "Import uninv_lib first, or set GOMP_SPINCOUNT=1000 before Python starts, or call "
            "torch.set_num_threads(1)",
            stacklevel=2,
        )


@contextmanager
def fitting_threads(call: Callable[[], object]) -> Iterator[None]:
    """For work that repeats this call of a net many times: one thread where it is SMALL, else
    torch's own number.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    own = torch.get_num_threads()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    torch.set_num_threads(1 if counter.get_total_flops() < SMALL else own)
    try:
        yield
    finally:
        torch.set_num_threads(own)
