"""The command line: uninv, or python -m uninv_lib, run | sweep | collect | report | book."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

import uninv_lib
from uninv_lib.methods import TABLES, owners
from uninv_lib.runs.commands import CAUGHT, collect, report, sweep
from uninv_lib.spec import Spec, explain, known_fields


def _spec_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option for each field that a Spec may hold; its value is validated by Spec, so that every
    message is the same.
    """
    told = owners()
    for name, (about, *_) in reversed(known_fields().items()):
        flag = f"--{name.replace('_', '-')}"
        text = (
            _of_methods(told[name]) if name in told else f"{about.description}{_words(name, about)}"
        )
        command = click.option(flag, name, default=None, help=f"{text}  {_default(about)}")(command)
    return command


def _of_methods(of: Mapping[str, tuple[str, FieldInfo]]) -> str:
    """What an option is, of each method that has it."""
    said: dict[str, list[str]] = {}
    for method, (_, about) in of.items():
        said.setdefault(str(about.description), []).append(method)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items())


def _words(name: str, about: FieldInfo) -> str:
    """The names that a field takes."""
    words = get_args(about.annotation) if get_origin(about.annotation) is Literal else ()
    words = words or (tuple(TABLES[name]) if name in TABLES and name != "dataset" else ())
    return f" [{' | '.join(words)}]" if words else ""


def _default(about: FieldInfo) -> str:
    if about.is_required():
        return "(has no default)"
    return f"(default: {'none' if about.default in (None, ()) else about.default})"


class Commands(click.Group):
    """Commands that need an extra which is not installed end with a line that names it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises ClickException in place of ModuleNotFoundError."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands)
@click.version_option(uninv_lib.__version__, prog_name="uninv")
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
