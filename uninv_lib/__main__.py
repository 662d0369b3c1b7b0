"""The command line: uninv, or python -m uninv_lib, run | sweep | collect | report | book."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import ValidationError

from uninv_lib import __version__
from uninv_lib.runs.commands import CAUGHT, collect, report, sweep
from uninv_lib.spec import Spec, explain


def _spec_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option for each field of Spec; its value is validated by Spec, so that every message is
    the same.
    """
    for name, field in reversed(Spec.model_fields.items()):
        words = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        help_text = f"{field.description} [{' | '.join(words)}]" if words else field.description
        default = "none" if field.default in (None, ()) else field.default
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, default=None, help=f"{help_text}  (default: {default})")(
            command
        )
    return command


class Commands(click.Group):
    """Commands that need an extra which is not installed end with a line that names it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises ClickException in place of ModuleNotFoundError."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="uninv")
def main() -> None:
    """See, reproduce and measure how machine unlearning leaks what it forgets."""


@main.command()
@_spec_options
def run(**fields: Any) -> None:
    """Run one experiment; prints its Record as one JSON line on standard output."""
    from uninv_lib.experiment import run as run_spec

    try:
        spec = Spec(**{name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise click.UsageError(explain(error)) from error
    try:
        record = run_spec(spec, progress=True)
    except CAUGHT as error:
        raise click.ClickException(str(error)) from error
    click.echo(record.model_dump_json())


@main.command()
@click.option(
    "--jobs", default=os.cpu_count() or 1, help="chapters executed at a time  (default: one a core)"
)
def book(jobs: int) -> None:
    """Execute the chapters that changed and build the book in _build/html."""
    from uninv_lib.book.build import build
    from uninv_lib.book.execute import BookError

    root = Path(__file__).resolve().parents[1]
    if not (root / "_toc.yml").is_file():
        raise click.ClickException(
            f"no _toc.yml in {root}; the book is made in a checkout of the project"
        )
    try:
        build(root, jobs=jobs)
    except BookError as error:
        raise click.ClickException(str(error)) from error


for command in (sweep, collect, report):
    main.add_command(command)

if __name__ == "__main__":
    sys.exit(main())
