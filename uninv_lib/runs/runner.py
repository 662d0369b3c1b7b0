"""A sweep: what is missing of a plan is run, kept, and told about."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from tqdm import tqdm

from uninv_lib.runs.engine import Outcome, connect, each, size
from uninv_lib.runs.limit import UNLIMITED, Limit
from uninv_lib.runs.store import Store
from uninv_lib.runs.work import Run, complete, pretrain_once, run_spec
from uninv_lib.spec import Record, Spec

DECISIVE = (
    "dataset",
    "model",
    "width",
    "attack",
    "probes",
    "unlearning",
    "training",
    "budget",
)
"""What the time of a run depends on most."""
TIMED = 20
"""Finished runs of a kind that are read for their time."""
WRITES = 3
"""Results in a row that could not be written before a sweep starts no more runs."""


def describe(
    runs: Sequence[Run],
    store: Store,
    *,
    known: Iterable[Record] = (),
    scheduler: str | None = None,
    workers: int | None = None,
) -> str:
    """The plan in a sentence: how many runs, how many are done, how long the others will take, by
    those that are done and by Records that are known of runs like these.
    """
    done = store.done()
    missing = [run for run in runs if run.name not in done]
    told = f"{len(runs)} runs, {len(runs) - len(missing)} done, {len(missing)} to do"
    seconds = expected(missing, [run for run in runs if run.name in done], store, known)
    if not missing or seconds is None:
        return told
    processes = None if scheduler else size(workers, devices_for(missing))
    return f"{told}, {duration(seconds, processes)}"


def duration(seconds: float, processes: int | None) -> str:
    """Seconds of one worker in words, and how long they last in so many processes."""
    told = f"about {_clock(seconds)} of one worker"
    return told if processes is None else f"{told}, {_clock(seconds / processes)} on {processes}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{max(1, rest)} s"


def expected(
    missing: Sequence[Run], finished: Sequence[Run], store: Store, known: Iterable[Record] = ()
) -> float | None:
    """Seconds of one worker that the missing runs will take, by the finished ones of their kind,
    else by known Records of it, else by any; or None.
    """
    times: dict[tuple[Any, ...], list[float]] = {}
    for run in finished:
        seen = times.setdefault(_kind(run.notebook, run.inputs), [])
        if len(seen) < TIMED:
            seen.append(store.mark(run.name)["seconds"])
    recorded: dict[tuple[Any, ...], list[float]] = {}
    for record in known:
        kind = _kind(None, record.spec.model_dump(mode="json"))
        recorded.setdefault(kind, []).append(sum(record.seconds.values()))
    typical = {kind: statistics.median(seen) for kind, seen in (recorded | times).items()}
    if not typical:
        return None
    anything = statistics.median(typical.values())
    return sum(typical.get(_kind(run.notebook, run.inputs), anything) for run in missing)


def _kind(notebook: str | None, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    return (notebook, *(inputs.get(name) for name in DECISIVE))


def devices_for(runs: Sequence[Run]) -> int:
    """The graphics cards of this machine, if any run may use one."""
    wanted = any(run.inputs.get("device", "auto") != "cpu" for run in runs)
    return max(torch.cuda.device_count(), int(torch.backends.mps.is_available())) if wanted else 0


def run_missing(
    runs: Sequence[Run],
    store: Store,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    limit: Limit = UNLIMITED,
) -> dict[str, str]:
    """Run what `store` lacks; returns the error of each run that failed, by its name. limit: the
    time of one run.

    What a failed run left lies in `store.failed`; it is tried again by the next sweep. Raises
    EngineError where the cluster is lost, and OSError where results can no longer be written;
    finished runs are kept in both cases.
    """
    done = store.done()
    missing = [run for run in runs if run.name not in done]
    errors: dict[str, str] = {}
    unwritten = 0
    if not missing:
        return errors
    bar = tqdm(total=len(runs), initial=len(runs) - len(missing), unit="run", dynamic_ncols=True)
    with bar, connect(scheduler, workers=workers, devices=devices_for(missing)) as client:
        pretrain_once(
            client, (Spec(**run.inputs) for run in missing if run.work is run_spec), limit
        )
        for outcome in each(client, _unless_kept(missing, store, bar), complete, limit):
            error = outcome.error
            try:
                if outcome.value is not None:
                    store.keep(outcome.item.name, outcome.value)
                else:
                    store.fail(outcome.item.name, _failure(outcome))
                unwritten = 0
            except OSError as problem:
                unwritten += 1
                error = f"{error or 'finished'}, but could not be written: {problem}"
                if unwritten == WRITES:
                    raise
            if error is not None:
                errors[outcome.item.name] = error
                bar.set_postfix(failed=len(errors))
            bar.update()
    return errors


def _unless_kept(missing: Sequence[Run], store: Store, bar: tqdm[Any]) -> Iterator[Run]:
    """Without what another sweep has kept meanwhile."""
    for run in missing:
        if store.has(run.name):
            bar.update()
        else:
            yield run


def _failure(outcome: Outcome[Run, Any]) -> dict[str, bytes]:
    """What a failed run leaves: the notebook as far as it came, and failure.json."""
    told = {
        "run": outcome.item.name,
        "inputs": outcome.item.inputs,
        "error": outcome.error,
        "traceback": outcome.trace,
        "attempts": outcome.attempts,
        "late": outcome.late,
    }
    return {**outcome.files, "failure.json": (json.dumps(told, indent=1) + "\n").encode()}
