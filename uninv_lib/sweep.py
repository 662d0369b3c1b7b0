"""Many Specs -> many Records in one file, a line each; started again, only what is missing is run."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from tqdm.auto import tqdm

from uninv_lib.experiment import run
from uninv_lib.scene import pretrain
from uninv_lib.types import Record, Spec

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
RESULTS = Path(__file__).resolve().parents[1] / "results"
"""The committed Records of the long runs, in a checkout of the project."""


def grid(**axes: Any) -> list[Spec]:
    """The Specs of every combination: a list or a range is an axis, anything else is common to all."""
    lists = {name: list(value) if isinstance(value, (list, range)) else [value] for name, value in axes.items()}
    return [Spec(**dict(zip(lists, values, strict=True))) for values in product(*lists.values())]


def read(file: Path | str) -> list[Record]:
    """The Records of a file, or of results/NAME.jsonl for a bare NAME. A torn last line is left out."""
    path = RESULTS / f"{file}.jsonl" if isinstance(file, str) else file
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in RESULTS.glob("*.jsonl"))) or "nothing"
        raise FileNotFoundError(f"results: no {path.name} in {path.parent}; there: {there}")
    lines = path.read_text(encoding="utf-8").split("\n")
    return [Record.model_validate_json(line) for line in lines[:-1] if line]


def frame(records: Iterable[Record]) -> pandas.DataFrame:
    """A table with one row a Record: the fields of its Spec, its metrics, and its seconds by stage."""
    import pandas

    rows = []
    for record in records:
        seconds = {f"seconds_{stage}": value for stage, value in record.seconds.items()}
        fields = record.spec.model_dump() | {"knowledge": " ".join(record.spec.knowledge) or "none"}
        rows.append(fields | record.metrics | seconds)
    return pandas.DataFrame(rows)


def _one_thread() -> None:
    torch.set_num_threads(1)


def record(specs: list[Spec], file: Path, *, workers: int | None = None) -> list[str]:
    """Run what the file lacks, `workers` processes of one thread each; returns one message for each failed run.

    Each Record is appended and flushed when it is there, so an interruption loses no finished run.
    """
    done = {r.spec for r in read(file)} if file.exists() else set()
    missing = [spec for spec in dict.fromkeys(specs) if spec not in done]
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():  # without a torn last line
        text = file.read_text(encoding="utf-8")
        file.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    failures = []
    with file.open("a", encoding="utf-8") as out, tqdm(total=len(missing), desc=file.stem, unit="run") as bar:
        for result in one_thread_each(missing, run, workers=workers, progress=False):
            if isinstance(result, Record):
                out.write(result.model_dump_json() + "\n")
                out.flush()
            else:
                failures.append(result)
            bar.update()
    return failures


def one_thread_each(
    specs: list[Spec], work: Callable[[Spec], T], *, workers: int | None = None, progress: bool = True
) -> Iterator[T | str]:
    """work(spec) for each, in processes of one thread (as many as cores), as they end; a message where one failed."""
    if not specs:
        return
    context = multiprocessing.get_context("spawn")
    firsts = {(s.dataset, s.model, s.width, s.model_seed, s.epochs, s.budget, s.device): s for s in reversed(specs)}
    with ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=context, initializer=_one_thread) as pool:
        wait([pool.submit(pretrain, first) for first in firsts.values()])  # once, before the runs ask for it
        futures = {pool.submit(work, spec): spec for spec in specs}
        for future in tqdm(as_completed(futures), total=len(futures), unit="run", disable=not progress):
            try:
                yield future.result()
            except (ValueError, ArithmeticError, RuntimeError, OSError) as error:
                yield f"{futures[future].model_dump_json(exclude_defaults=True)}: {error}"
