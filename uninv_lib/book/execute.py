"""Execute one notebook with papermill, in a kernel of the interpreter that runs this, and clean
what comes out.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from uninv_lib.support.extras import needs

with needs("sweep"):
    import papermill
    import psutil
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from papermill.exceptions import PapermillExecutionError


class BookError(Exception):
    """The book could not be made; the one that stood before still stands."""


@dataclass(frozen=True)
class Executed:
    """A chapter as it will be rendered (the text of its .ipynb), and what executing it took."""

    key: str
    seconds: float
    peak_mb: int
    notebook: str


def cells_of(root: Path, chapter: Path) -> list[dict[str, Any]]:
    """The cells of a chapter as JSON. Raises BookError for what is no notebook."""
    try:
        return list(json.loads((root / chapter).read_text(encoding="utf-8"))["cells"])
    except (ValueError, KeyError, TypeError) as error:
        raise BookError(f"{chapter} is not a notebook of format 4: {error!r}") from error


class _ThisInterpreter(KernelSpecManager):
    """Runs every notebook with the Python that builds the book, whatever kernel the notebook
    names.
    """

    threads = 1

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        env = {
            "TQDM_DISABLE": "1",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(self.threads)),
        }
        return KernelSpec(
            name=kernel_name, display_name="Python 3", language="python", argv=argv, env=env
        )


def execute(
    root: Path, chapter: Path, threads: int, *, key: str, tick: Callable[[], Any]
) -> Executed:
    """Run one chapter of the book in a kernel of this interpreter, in the folder `root`, with
    `threads` threads.

    Raises BookError that names the chapter, the cell and the error.
    """
    start, peak = time.perf_counter(), 0.0

    def after(mb: float) -> None:
        nonlocal peak
        peak = max(peak, mb)
        tick()

    try:
        notebook = papermill_run(
            root / chapter, None, {}, folder=root, threads=threads, after=after
        )
    except BookError as error:
        raise BookError(f"{chapter}: {error}") from error
    return Executed(
        key, round(time.perf_counter() - start, 1), round(peak), _cleaned(chapter, notebook)
    )


def papermill_run(
    source: Path,
    output: Path | None,
    parameters: Mapping[str, Any],
    *,
    folder: Path,
    threads: int = 1,
    after: Callable[[float], Any] = lambda _mb: None,
) -> Any:
    """Execute `source` in a kernel of this interpreter, in `folder`; returns the notebook, written
    to `output` too.

    `after` is called after each cell with the kernel's peak memory (MB). Raises BookError that
    names the cell and the error; `output` then holds the notebook as far as it came.
    """
    at: dict[str, Any] = {"cell": "none", "index": 0}
    kernels: list[AsyncKernelManager] = []

    class Kernel(AsyncKernelManager):
        def __init__(self, **given: Any) -> None:
            super().__init__(kernel_spec_manager=_ThisInterpreter(), **given)
            self.kernel_spec_manager.threads = threads
            self.connection_file = f"{connection}/kernel.json"
            if os.name == "posix":
                self.transport = "ipc"  # the TCP ports of parallel kernels collide now and then
            kernels.append(self)

    def before(cell: Any, cell_index: int, **_: Any) -> None:
        at.update(cell=cell.get("id", "none"), index=cell_index)

    hooks = {"on_cell_start": before, "on_cell_executed": lambda **_: after(_peak_mb(kernels[0]))}
    kernel = {"kernel_name": "python3", "kernel_manager_class": Kernel}
    quiet = {"progress_bar": False, "record_timing": False}
    place = {"resources": {"metadata": {"path": str(folder)}}}
    logging.getLogger("papermill").setLevel(
        logging.ERROR
    )  # its warning of a parameter, which a chapter checks itself
    try:
        with TemporaryDirectory() as connection:
            return papermill.execute_notebook(
                source, output, dict(parameters), **place, **kernel, **hooks, **quiet
            )
    except PapermillExecutionError as error:
        raise BookError(_failure(at, str(error))) from error
    except RuntimeError as error:  # the kernel died, or did not start
        raise BookError(_failure(at, f"{error} (out of memory?)")) from error


def _peak_mb(kernel: AsyncKernelManager) -> float:
    """The peak resident memory of a kernel: exact on Linux, elsewhere what is resident now."""
    provisioner: Any = kernel.provisioner
    status = Path(f"/proc/{provisioner.pid}/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return float(psutil.Process(provisioner.pid).memory_info().rss) / 2**20


def _failure(at: Mapping[str, Any], error: str) -> str:
    tail = "\n".join(error.strip().splitlines()[-25:])
    return f"cell {at['index'] + 1} (id {at['cell']}) failed\n{tail}"


def _cleaned(chapter: Path, notebook: Any) -> str:
    """Without papermill's notes (times, local paths); warnings go to the terminal, not to the
    page.
    """
    for part in [notebook, *notebook.cells]:
        part.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for output in [
            output for output in cell.get("outputs", []) if output.get("name") == "stderr"
        ]:
            say(f"{chapter} wrote to stderr: {output.text.strip()}")
            cell.outputs.remove(output)
    return json.dumps(notebook, ensure_ascii=False)


def say(message: str) -> None:
    """A line on standard error, above a progress bar."""
    tqdm.write(message, file=sys.stderr)
