"""The command line: uninv, or python -m uninv_lib, run | sweep | collect | report |
reproduce | repeat | book.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

import uninv_lib
from uninv_lib.methods import owners
from uninv_lib.options import words_of
from uninv_lib.runs.commands import CAUGHT, collect, repeat, report, reproduce, sweep
from uninv_lib.spec import Spec, explain, known_fields


def _spec_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option for each field that a Spec may hold; its value is validated by Spec, so that every
    message is the same.
    """
    told = owners()
    for name, (about, *_) in reversed(known_fields().items()):
        methods = {method: own for method, (_, own) in told.get(name, {}).items()}
        text = _of_methods(methods) if methods else _text(about)
        flag = f"--{name.replace('_', '-')}"
        default = _default(methods or {"": about})
        command = click.option(flag, name, default=None, help=f"{text}  {default}")(command)
    return command


def _text(about: FieldInfo) -> str:
    words = words_of(about)
    return f"{about.description} [{' | '.join(words)}]" if words else str(about.description)


def _of_methods(methods: Mapping[str, FieldInfo]) -> str:
    """What an option is, of each method that has it."""
    said: dict[str, list[str]] = {}
    for method, about in methods.items():
        said.setdefault(_text(about), []).append(method)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items())


def _default(methods: Mapping[str, FieldInfo]) -> str:
    """The default of a field, or of an option with the methods that have one."""
    known = {name: about.default for name, about in methods.items() if not about.is_required()}
    if not known:
        return "(has no default)"
    value = next(iter(known.values()))
    of = f" for {', '.join(known)}" if len(known) < len(methods) else ""
    return f"(default: {'none' if value in (None, ()) else value}{of})"


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
    from uninv_lib.scene import fitting

    chosen = {name: value for name, value in fields.items() if value is not None}
    try:
        spec = Spec(**chosen)
    except ValidationError as error:
        raise click.UsageError(explain(error)) from error
    try:
        spec, said = fitting(spec, fields.keys() - chosen)
        if said:
            click.echo(said, err=True)
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


for command in (sweep, collect, report, reproduce, repeat):
    main.add_command(command)

if __name__ == "__main__":
    sys.exit(main())
