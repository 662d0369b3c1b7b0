"""What a worker does for one run: from its inputs to the files of its folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from uninv_lib.experiment import code_of_run
from uninv_lib.experiment import run as run_experiment
from uninv_lib.runs.engine import WorkError, each
from uninv_lib.runs.limit import UNLIMITED, Limit
from uninv_lib.runs.store import DONE
from uninv_lib.scene import device_of, pretrain
from uninv_lib.spec import Spec
from uninv_lib.support.cache import digest
from uninv_lib.support.code import code_of_cells, code_of_source
from uninv_lib.support.extras import needs
from uninv_lib.support.provenance import commit, device_name, versions

with needs("sweep"):
    from distributed import Client

Work = Callable[[Mapping[str, Any]], dict[str, bytes]]
"""Inputs -> the files of a run, by name."""
Code = Callable[[Mapping[str, Any]], str]
"""Inputs -> the hash of the code that the work runs on them."""
SCHEMA = 1
"""Version of `done.json` and of the table's columns."""
RECORDS, NOTEBOOK = "records.jsonl", "notebook.ipynb"


@dataclass(frozen=True)
class Run:
    """inputs: a Spec or a notebook's parameters, as JSON; work: makes the files of the run's folder
    of them; coded: says what code it runs; name: the hash of the inputs and that code; notebook:
    its file's name.
    """

    name: str
    inputs: Mapping[str, Any]
    work: Work
    coded: Code
    code: str
    notebook: str | None = None


def named(
    inputs: Mapping[str, Any], work: Work, coded: Code, *, notebook: str | None = None
) -> Run:
    """The run of these inputs; equal ones get one name, whatever the order of their keys and the
    form of a number.
    """
    # -0.0 equals 0.0
    exact = json.loads(json.dumps(inputs), parse_float=lambda text: float(text) + 0.0)
    code = coded(inputs)
    return Run(digest(exact, code), inputs, work, coded, code, notebook)


def run_spec(inputs: Mapping[str, Any]) -> dict[str, bytes]:
    """The Record of a Spec. Raises what `experiment.run` raises."""
    return {RECORDS: (run_experiment(Spec(**inputs)).model_dump_json() + "\n").encode()}


def code_of_spec(inputs: Mapping[str, Any]) -> str:
    """Of the code that `run_spec` runs on these inputs."""
    return code_of_run(Spec(**inputs))


def pretrain_once(client: Client, specs: Iterable[Spec], limit: Limit = UNLIMITED) -> None:
    """Do the pretraining that several of these Specs share, so that each finds it kept; failures
    show in the runs. The limit is that of a run, which would else do it itself.
    """
    firsts = {
        (
            s.dataset,
            s.model,
            *s.options("model").items(),
            s.model_seed,
            s.epochs,
            s.augmentation,
            s.budget,
            s.device,
        ): s
        for s in specs
    }
    for _ in each(client, firsts.values(), _pretrain, limit):
        pass


def _pretrain(spec: Spec) -> None:
    pretrain(spec)


@dataclass(frozen=True)
class Notebook:
    """Executes a notebook of this source with the inputs as parameters; those that are as its
    defaults are not injected, so that the notebook knows what was chosen.
    """

    name: str
    source: str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def code(self, inputs: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Hash of the notebook's code cells, word by word, and of all that they import, whatever
        the inputs.
        """
        return self._code

    @cached_property
    def _code(self) -> str:
        cells = json.loads(self.source)["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        return digest(texts, code_of_source(code_of_cells(cells)))

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, bytes]:
        """The executed notebook and the Records that it saved. Raises WorkError with the notebook
        as far as it came.
        """
        from uninv_lib.book.execute import BookError, papermill_run

        with TemporaryDirectory() as folder:
            source, output = Path(folder, self.name), Path(folder, "out", NOTEBOOK)
            source.write_text(self.source, encoding="utf-8")
            output.parent.mkdir()
            try:
                chosen = {n: v for n, v in inputs.items() if (n, v) not in self.defaults.items()}
                parameters = {**chosen, "PAPERMILL_OUTPUT_PATH": str(output)}
                papermill_run(
                    source, output, parameters, folder=Path(folder), threads=torch.get_num_threads()
                )
            except BookError as error:
                raise WorkError(str(error), _files(output.parent)) from error
            return _files(output.parent)


def _files(folder: Path) -> dict[str, bytes]:
    """NOTEBOOK, and the Records beside it under one name."""
    found = {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if not file.name.startswith(".")
    }
    return {
        name.replace("notebook.records.jsonl", RECORDS): content for name, content in found.items()
    }


def complete(run: Run) -> dict[str, bytes]:
    """In a worker: the files of the run's folder, last the mark that it is finished, which says
    where they come from.

    Raises RuntimeError where the worker has other code than the name of the run says, and what the
    work raises.
    """
    code = run.coded(run.inputs)
    if code != run.code:
        raise RuntimeError(
            f"this worker has uninv_lib {code}, the sweep {run.code}; install one version "
            "everywhere"
        )
    started = time.perf_counter()
    files = run.work(run.inputs)
    done = {
        "schema": SCHEMA,
        "run": run.name,
        "inputs": run.inputs,
        "notebook": run.notebook,
        "seed": run.inputs.get("seed"),
        "seconds": round(time.perf_counter() - started, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": device_name(device_of(run.inputs.get("device", "auto"))),
        "threads": torch.get_num_threads(),
        "code": run.code,
        "commit": commit(),
        "versions": versions(),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return {**files, DONE: (json.dumps(done, indent=1) + "\n").encode()}
