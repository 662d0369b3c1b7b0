"""Long work says how far it is: as a bar on standard error, or to a function, which may raise to
end the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from uninv_lib.support.threads import remark

Progress = bool | Callable[[str, float], None]
"""True for a bar, False for silence, or a function of (the work's name, its share that is done, 0
to 1)."""


@contextmanager
def steps(total: int, name: str, progress: Progress) -> Iterator[Callable[[], None]]:
    """A function to call after each of at most `total` steps."""
    remark()
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        bar.update()
        if callable(progress):
            progress(name, min(1.0, done / total))

    with tqdm(total=total, desc=name, disable=progress is not True) as bar:
        yield tell
