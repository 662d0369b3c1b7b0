"""load(name) -> Dataset: one source of data a file. Every input lies in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from uninv_lib.data.csv_file import TARGET, csv_file
from uninv_lib.data.embedded import breast_cancer, digits, faces
from uninv_lib.data.folder import image_folder
from uninv_lib.data.npz import npz
from uninv_lib.data.photos import photos
from uninv_lib.data.torchvision import cifar10, cifar100, stl10
from uninv_lib.types import Dataset, unknown

SOURCES: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "faces": faces,
    "photos": photos,
    "breast_cancer": breast_cancer,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "stl10": stl10,
    "imagefolder": image_folder,
    "csv": csv_file,
    "npz": npz,
}
"""By the name of a data set, or by what stands before the colon of NAME:PATH."""
RENAMED = {"table": "csv"}
"""Sources of earlier versions, as Records name them."""


def names() -> list[str]:
    """What `load` takes: digits, faces, ..., imagefolder:PATH, csv:PATH, npz:PATH."""
    return [f"{name}:PATH" if _takes_path(SOURCES[name]) else name for name in SOURCES]


@lru_cache(maxsize=64)
def _takes_path(source: Callable[..., Dataset]) -> bool:
    parameters = signature(source).parameters.values()
    return any(p.kind is not Parameter.KEYWORD_ONLY for p in parameters)


def current(name: str) -> str:
    """A data set's name, of an earlier version perhaps, as it is called now."""
    source, colon, path = name.partition(":")
    return f"{RENAMED.get(source, source)}{colon}{path}"


def source_of(name: object) -> tuple[str, str]:
    """(the source, the path or nothing) of a data set's name. Raises ValueError for another."""
    source, colon, path = current(str(name)).partition(":")
    whole = isinstance(name, str) and source in SOURCES and bool(colon) == bool(path)
    if not whole or _takes_path(SOURCES[source]) != bool(path):
        raise ValueError(unknown("dataset", name, names()))
    return source, path


def file_of(name: str) -> str:
    """The file or folder of a data set, nothing where it has none. Raises what `source_of`
    raises.
    """
    return source_of(name)[1].partition(TARGET)[0]


def absent(names: Iterable[str]) -> list[str]:
    """The files and folders of these data sets that are not there. Raises what `source_of`
    raises.
    """
    paths = set(map(file_of, names)) - {""}
    return sorted(path for path in paths if not Path(path).expanduser().exists())


def load(name: str, **options: Any) -> Dataset:
    """The data set of this name, one of `names()`. options: those of its source's function.

    Raises ValueError for an unknown name or samples that do not fit, FileNotFoundError for a
    missing folder, RuntimeError where a download is needed and fails.
    """
    source, path = source_of(name)
    return _loaded(source, path, _stamp(Path(path).expanduser()) if path else (), **options)


@lru_cache(maxsize=4)
def _loaded(source: str, path: str, _when: tuple[int, ...], **options: Any) -> Dataset:
    return SOURCES[source](*[Path(path)] * bool(path), **options)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written, or a file comes into a folder or one below, or goes."""
    if not path.exists():
        return ()
    inside = [p for p in path.glob("**/") if p != path] if path.is_dir() else []
    return tuple(n for p in (path, *inside) for n in (p.stat().st_mtime_ns, p.stat().st_size))
