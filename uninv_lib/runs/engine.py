"""Work in many processes, by Dask: on this machine, or on a cluster that runs already."""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from logging import CRITICAL
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from uninv_lib.runs.limit import UNLIMITED, Limit, ended_after, late, tail
from uninv_lib.support.extras import needs

with needs("sweep"):
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client, Future, KilledWorker, Nanny, Scheduler, SpecCluster

Item = TypeVar("Item")
Value = TypeVar("Value")
ATTEMPTS = 3
TIMEOUT = 30.0
"""Seconds to wait for a scheduler to answer."""
POLL = 1.0
"""Seconds between two looks at a cluster that has no free worker."""

GONE = (
    "the scheduler is gone, or was restarted; what was finished is kept, and the same "
    "command goes on from there"
)
DIED = "the process died (out of memory? killed?)"

SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # `each` counts attempts
    # what waits does so at the scheduler, not in a worker that may die
    "distributed.scheduler.worker-saturation": 1.0,
    # what Dask watches itself with took a tenth of the work's time
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
}
"""Of a cluster of our own."""

DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""In a worker: Ctrl-C is for the client, which then ends its workers."""


class EngineError(RuntimeError):
    """The cluster is gone or cannot be reached; what was finished is kept."""


class WorkError(Exception):
    """Work that failed, with files to look at."""

    def __init__(self, message: str, files: dict[str, bytes]) -> None:
        super().__init__(message)
        self.files = files


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """What became of an item: a value, or an error (its message, where it arose, and files of a
    WorkError). late: it ran out of time.
    """

    item: Item
    value: Value | None = None
    error: str | None = None
    trace: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    attempts: int = 1
    late: bool = False


def size(workers: int | None, devices: int) -> int:
    """Processes on this machine: as asked for, else one a device, else one a core."""
    return workers or devices or CPU_COUNT


@contextmanager
def connect(
    scheduler: str | None = None, *, workers: int | None = None, devices: int = 0
) -> Iterator[Client]:
    """A client of the cluster at the address `scheduler`, or of one on this machine that ends with
    the block.

    That one has `size(workers, devices)` processes that share the cores and, in turn, the graphics
    cards; each has as many threads as OMP_NUM_THREADS says where it is set. Raises EngineError
    where nothing answers at the address.
    """
    if scheduler is None:
        with (
            _local(size(workers, devices), devices) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise EngineError(f"scheduler: nothing answers at {scheduler!r}: {error}") from error
    with client:
        yield client


@contextmanager
def _local(workers: int, devices: int) -> Iterator[SpecCluster]:
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, CPU_COUNT // workers))
    # set before a worker starts: torch reads them when it is imported
    variables = dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads
    )
    settings = {"distributed.nanny.pre-spawn-environ": variables, **SETTINGS}
    cards = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(devices)))).split(
        ","
    )
    common = {
        "nthreads": 1,
        "memory_limit": 0,
        "dashboard_address": None,
        "silence_logs": CRITICAL,
        "preload": [DEAF],
    }
    specification = {
        i: {
            "cls": Nanny,
            "options": common
            | {"env": {"CUDA_VISIBLE_DEVICES": cards[i % len(cards)]} if devices else {}},
        }
        for i in range(workers)
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "port": 0},
    }
    ours = variables.keys() - os.environ.keys()
    try:
        with (
            dask.config.set(settings),
            SpecCluster(specification, scheduler, silence_logs=CRITICAL) as cluster,
        ):
            yield cluster
    finally:
        for (
            name
        ) in ours:  # Dask sets them in this process too, where they would hold for the next cluster
            os.environ.pop(name, None)


def each(
    client: Client,
    items: Iterable[Item],
    work: Callable[[Item], Value],
    limit: Limit = UNLIMITED,
) -> Iterator[Outcome[Item, Value]]:
    """work(item) for each, as they end; what fails, or kills its process, is tried three times in
    all. The process of one that exceeds the limit is ended, with all that it started; its nanny
    starts another.

    At most two items a worker's thread are under way: one computes, the other waits at the
    scheduler of a cluster of our own, so that an item that kills its worker takes no other along
    (beyond the first, another cluster may hand it out early). `items` are drawn, and values held,
    no sooner than needed. Raises EngineError where the cluster is lost.
    """
    waiting = iter(items)
    again: deque[Outcome[Item, Value]] = deque()
    flying: dict[Any, tuple[Future[Any], Item, Outcome[Item, Value] | None]] = {}
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    threads, looked = 0, -POLL
    try:
        while True:
            if time.monotonic() - looked >= POLL:
                threads, looked = _threads(client), time.monotonic()
            for item, before in _next(again, waiting, 2 * threads - len(flying)):
                future = client.submit(_attempt, work, item, limit.seconds, pure=False)
                flying[future.key] = future, item, before
                future.add_done_callback(ended.put)
            if not flying and threads:
                return
            with suppress(Empty):
                future = ended.get(timeout=POLL)
                _, item, before = flying.pop(future.key)
                outcome = _outcome(future, item, before.attempts + 1 if before else 1)
                if outcome.error == DIED and limit.seconds:
                    outcome = _if_late(client, str(future.key), outcome, limit)
                if (
                    outcome.error == DIED and before
                ):  # perhaps taken along by another: its own error says more
                    outcome = replace(before, attempts=outcome.attempts)
                final = outcome.attempts >= ATTEMPTS or (outcome.late and not limit.retry)
                if outcome.error is not None and not final:
                    again.append(outcome)
                else:
                    yield outcome
    finally:
        for future, _, _ in flying.values():
            with suppress(Exception):  # the scheduler may be gone
                future.cancel()


def _next(
    again: deque[Outcome[Item, Value]], waiting: Iterator[Item], count: int
) -> Iterator[tuple[Item, Outcome[Item, Value] | None]]:
    """(item, the outcome of its last try) of those that are tried again, then of those that
    wait.
    """
    for _ in range(count):
        if again:
            before = again.popleft()
            yield before.item, before
        else:
            for item in waiting:
                yield item, None
                break


def _threads(client: Client) -> int:
    try:
        return sum(client.nthreads().values())
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        raise EngineError(GONE) from error


def _outcome(future: Future[Any], item: Any, attempt: int) -> Outcome[Any, Any]:
    try:
        if (
            future.status == "lost"
        ):  # its process died since; to wait until Dask has repeated it would block others
            return Outcome(item, error=DIED, attempts=attempt)
        value, error, trace, files = future.result()
    except (
        KilledWorker
    ) as killed:  # a scheduler that is not ours may have tried it several times itself
        attempt += killed.allowed_failures
        return Outcome(item, error=DIED, attempts=attempt)
    except (
        Exception
    ) as failure:  # such as a value that cannot be sent, or a run that the cluster cancelled
        if future.client.status != "running":
            raise EngineError(GONE) from failure
        return Outcome(item, error=f"{type(failure).__name__}: {failure}", attempts=attempt)
    finally:
        future.release()
    return Outcome(item, value, error, trace, files, attempt)


def _if_late(
    client: Client, key: str, outcome: Outcome[Item, Value], limit: Limit
) -> Outcome[Item, Value]:
    """The outcome of an item whose process died: of one out of time, where its worker said so."""
    trace = late(client, key)
    if trace is None:
        return outcome
    error = f"timeout: not finished after {limit.seconds:g} s"
    return replace(outcome, error=error, trace=trace, late=True)


def _attempt(
    work: Callable[[Any], Any], item: Any, seconds: float | None
) -> tuple[Any, str | None, str, dict[str, bytes]]:
    """In a worker: errors become text there, for not every exception can be sent."""
    try:
        with ended_after(seconds):
            return work(item), None, "", {}
    except Exception as error:
        trace = tail(traceback.format_exc())
        return None, f"{type(error).__name__}: {error}", trace, getattr(error, "files", {})
