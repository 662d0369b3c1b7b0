"""The command line of sweeps: python -m uninv_lib sweep | collect | report | reproduce | repeat."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Any

import click

CAUGHT = (ValueError, OSError, RuntimeError, FloatingPointError, ModuleNotFoundError)
INTERRUPTED = 130
STOPPED = "stopped; what was finished is in {}, and the same command goes on from there"
PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=PATH)
@click.option(
    "--out", required=True, type=PATH, help="folder of the runs, made where it is not there"
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="processes here  (default: one a graphics card, else one a core)",
)
@click.option("--scheduler", help="address of a running Dask cluster, such as tcp://10.0.0.1:8786")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    help="seconds that one run may take; one that takes longer fails, its process is ended, and "
    "the others go on  (default: no limit)",
)
@click.option(
    "--retry-timeouts",
    is_flag=True,
    help="try a run that took too long three times, as one that failed  (default: once)",
)
@click.option("--dry-run", is_flag=True, help="check and print the plan, run nothing")
def sweep(
    file: Path,
    out: Path,
    workers: int | None,
    scheduler: str | None,
    timeout: float | None,
    retry_timeouts: bool,
    dry_run: bool,
) -> None:
    """Run each combination of the grid FILE that OUT does not hold yet; each finished run is a
    folder there.
    """
    from uninv_lib.runs.limit import Limit
    from uninv_lib.runs.plan import plan
    from uninv_lib.runs.runner import describe, run_missing
    from uninv_lib.runs.store import Store

    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a batch system's time limit ends us as Ctrl-C does
    try:
        runs, store = plan(file), Store(out)
        place: dict[str, Any] = {"workers": workers, "scheduler": scheduler}
        click.echo(describe(runs, store, **place), err=True)
        limit = Limit(timeout, retry_timeouts)
        errors = {} if dry_run else run_missing(runs, store, **place, limit=limit)
    except CAUGHT as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo(STOPPED.format(out), err=True)
        raise SystemExit(INTERRUPTED) from None
    for name, message in errors.items():
        click.echo(f"{name}: {message}", err=True)
    if errors:
        raise click.ClickException(
            f"{len(errors)} of {len(runs)} runs failed; what they left is in {store.failed}, "
            "and the same command "
            "tries them again"
        )


@click.command()
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
def collect(source: Path, target: Path) -> None:
    """Make one table, TARGET (.parquet, .csv or .jsonl), of the runs in the folder SOURCE, or of a
    file of Records.
    """
    from uninv_lib.runs.collect import collect as collect_runs

    try:
        click.echo(f"{target}: {collect_runs(source, target)} rows", err=True)
    except CAUGHT as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
def report(source: Path, target: Path) -> None:
    """Make one offline page, TARGET (.html), of a table, of the runs in a folder, or of a file of
    Records.
    """
    from uninv_lib.runs.report import report as report_table

    try:
        report_table(source, target)
        click.echo(f"{target}: written", err=True)
    except CAUGHT as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--out", default="runs", type=PATH, help="folder of the runs, one a sweep  (default: runs)"
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="processes here  (default: one a graphics card, else one a core)",
)
@click.option(
    "--dry-run", is_flag=True, help="say what is to do and how long it takes, run nothing"
)
def reproduce(names: tuple[str, ...], out: Path, workers: int | None, dry_run: bool) -> None:
    """Rerun the sweeps NAMES of the folder sweeps/, or all, and put their Records into results/.

    Says first how long it will take. Stopped at any time, the same command goes on from there.
    """
    from uninv_lib.runs.reproduce import forecast, planned
    from uninv_lib.runs.reproduce import reproduce as rerun

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        plans = planned(names)
        click.echo(forecast(plans, out, workers=workers), err=True)
        tell = partial(click.echo, err=True)
        errors = {} if dry_run else rerun(plans, out, workers=workers, say=tell)
    except CAUGHT as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo(STOPPED.format(out), err=True)
        raise SystemExit(INTERRUPTED) from None
    for name, message in errors.items():
        click.echo(f"{name}: {message}", err=True)
    if errors:
        raise click.ClickException(
            f"{len(errors)} runs failed, and the Records of their sweeps stay as they were; the "
            "same command tries them again"
        )


@click.command()
@click.option("--count", default=20, type=click.IntRange(1), help="Records  (default: 20)")
@click.option("--seed", help="draws them  (default: the commit)")
def repeat(count: int, seed: str | None) -> None:
    """Compute some Records of results/ once more, and say whether they repeat: exit status 1 where
    one does not. Each takes up to a minute, twenty about five.
    """
    import torch

    from uninv_lib.runs.repeat import repeated
    from uninv_lib.support.provenance import commit

    torch.set_num_threads(1)
    failed = 0
    try:
        for old, found in repeated(count, seed or (commit() or "none").rstrip("+")):
            failed += bool(found)
            told = old.spec.model_dump_json(exclude_defaults=True)
            click.echo("\n  ".join([told, *(found or ["repeats"])]))
    except CAUGHT as error:
        raise click.ClickException(str(error)) from error
    if failed:
        raise click.ClickException(f"{failed} of {count} Records do not repeat")
    click.echo(f"all {count} repeat")
