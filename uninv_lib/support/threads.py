"""Threads that wait sleep. Two that wait busily stall each other where a core has other work.

torch shares the loops of a layer among threads, thousands of times in a recovery, and its OpenMP
runtime lets those that are done spin until the last one is. Beside another program that one is not
on a core, but kept off it by those that spin: measured in benchmarks/threads.py. The runtime
(libgomp in torch's wheels for Linux, LLVM's or Intel's elsewhere) reads these variables once, when
it is loaded: so `uninv_lib` imports this file before torch, and what it starts inherits them.
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import lru_cache

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
"""The standard's word, libgomp's number of turns, and the milliseconds of LLVM's and Intel's."""


def wait_passively() -> bool:
    """Set PASSIVE for this process and its children, unless the user has set one of the three.

    Returns whether it comes too late for this process, because torch was loaded before.
    """
    if PASSIVE.keys() & os.environ.keys():
        return False
    os.environ.update(PASSIVE)
    return "torch" in sys.modules


TOO_LATE = wait_passively()


@lru_cache(maxsize=1)
def remark() -> None:
    """Warn once, before long work, where several threads wait busily."""
    import torch

    if TOO_LATE and torch.get_num_threads() > 1:
        warnings.warn(
            f"torch was imported before uninv_lib, so that its {torch.get_num_threads()} threads "
            "wait busily: beside other work on the same cores they may take ten times as long. "
            "Import uninv_lib first, or set OMP_WAIT_POLICY=PASSIVE before Python starts, or call "
            "torch.set_num_threads(1)",
            stacklevel=2,
        )
