"""All Records of results/ once more: each sweep of sweeps/, whose Records take their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from uninv_lib.data import absent
from uninv_lib.results import RESULTS, read
from uninv_lib.runs.collect import collect
from uninv_lib.runs.engine import size
from uninv_lib.runs.plan import plan
from uninv_lib.runs.runner import describe, devices_for, duration, expected, run_missing
from uninv_lib.runs.store import Store
from uninv_lib.runs.work import Run
from uninv_lib.spec import Record
from uninv_lib.types import unknown

SWEEPS = RESULTS.parent / "sweeps"
Plans = Mapping[str, list[Run]]


def sweeps() -> dict[str, Path]:
    """The files of sweeps/, by name. Raises FileNotFoundError outside a checkout."""
    if not SWEEPS.is_dir():
        raise FileNotFoundError(
            f"no folder {SWEEPS}; Records are made again in a checkout of the project, by its "
            "python -m uninv_lib"
        )
    return {file.stem: file for file in sorted(SWEEPS.glob("*.yaml"))}


def planned(names: Sequence[str]) -> Plans:
    """The runs of these sweeps, or of all, by name. Raises ValueError for an unknown name, and
    what `sweeps` and `plan` raise.
    """
    files = sweeps()
    for name in names:
        if name not in files:
            raise ValueError(unknown("sweep", name, list(files)))
    bar = tqdm(names or files, desc="planning", unit="sweep")
    return {name: plan(files[name]) for name in bar}


def forecast(plans: Plans, out: Path, *, workers: int | None = None) -> str:
    """A line for each sweep, and one for all: what is to do, and how long it took when the Records
    in results/ were made.
    """
    lines, total = [], 0.0
    for name, runs in plans.items():
        if lacking := _lacking(runs):
            lines.append(f"{name}: left out, for there is no {lacking}")
            continue
        store, known = Store(out / name), _recorded(name)
        lines.append(f"{name}: {describe(runs, store, known=known, workers=workers)}")
        done = store.done()
        finished, missing = (
            [run for run in runs if (run.name in done) == there] for there in (True, False)
        )
        total += expected(missing, finished, store, known) or 0.0
    every = [run for runs in plans.values() for run in runs if not _lacking(runs)]
    took = duration(total, size(workers, devices_for(every)))
    return "\n".join([*lines, f"all together: {took}, as long as a core here is as fast as there"])


def _lacking(runs: list[Run]) -> str:
    """The files of data that do not come with the software and are not there, or nothing."""
    return ", ".join(absent({run.inputs["dataset"] for run in runs if "dataset" in run.inputs}))


def _recorded(name: str) -> list[Record]:
    return read(name) if (RESULTS / f"{name}.jsonl").exists() else []


def reproduce(
    plans: Plans, out: Path, *, workers: int | None = None, say: Callable[[str], None] = print
) -> dict[str, str]:
    """Run what `out` lacks of each sweep; the Records of a sweep without a failure take the place
    of those in results/; one whose data are not there is left out. Returns the errors of all runs,
    by "sweep, run".
    """
    errors: dict[str, str] = {}
    for name, runs in plans.items():
        if _lacking(runs):
            continue
        store = Store(out / name)
        say(f"{name}: {describe(runs, store, known=_recorded(name), workers=workers)}")
        failed = run_missing(runs, store, workers=workers)
        errors |= {f"{name}, {run}": error for run, error in failed.items()}
        if not failed:
            say(f"results/{name}.jsonl: {collect(out / name, RESULTS / f'{name}.jsonl')} Records")
    return errors
