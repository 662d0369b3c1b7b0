"""How long one try of a run may take: its own process watches, ends itself, and says so before."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from uninv_lib.support.extras import needs

with needs("sweep"):
    import psutil
    from distributed import Client, get_worker

LATE = "uninv-late"
"""The topic under which a worker tells its scheduler what it ends."""
TOLD = 0.5
"""Seconds that it waits until that is told."""
TAIL = 25
"""Lines of a traceback that are kept."""


@dataclass(frozen=True)
class Limit:
    """seconds: what one try of an item may take, or None; retry: whether one that took longer is
    tried again, as those that fail are.
    """

    seconds: float | None = None
    retry: bool = False


UNLIMITED = Limit()


def late(client: Client, key: str) -> str | None:
    """Where an item was when its time was over, the end of a traceback; None where no worker ended
    it for its time.
    """
    with suppress(OSError, TimeoutError, RuntimeError, ValueError):  # the scheduler may be gone
        told: dict[str, str] = dict(event for _, event in client.get_events(LATE))
        return told.get(key)
    return None


def tail(trace: str) -> str:
    """The last lines of a traceback."""
    return "\n".join(trace.splitlines()[-TAIL:])


@contextmanager
def ended_after(seconds: float | None) -> Iterator[None]:
    """In a worker: end this process, and all that it started, where the block takes longer."""
    if seconds is None:
        yield
        return
    worker, thread = get_worker(), threading.get_ident()
    key = worker.get_current_task()

    def end() -> None:
        stack = "".join(traceback.format_stack(sys._current_frames()[thread]))
        worker.log_event(LATE, (key, tail(stack)))
        time.sleep(TOLD)
        for child in psutil.Process().children(recursive=True):  # the kernel of a notebook
            with suppress(psutil.Error):
                child.kill()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
