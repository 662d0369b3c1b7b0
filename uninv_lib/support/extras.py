"""What only a part of the library needs is installed as an extra; where it is absent, say which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Imports in this block are of an extra of pyproject.toml, such as "sweep".

    Raises ModuleNotFoundError that says what to install, in place of Python's own.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "a package").partition(".")[0]
        if package == "uninv_lib":
            raise
        raise ModuleNotFoundError(
            f"{package} is not installed; it comes with an extra: pip install '.[{extra}]' "
            "in the project's folder",
            name=package,
        ) from error
