"""What a sweep gains and costs: python benchmarks/sweep.py specs | notebooks | many [--count N];
one JSON line each.

specs: as many Specs in a plain loop and by two workers, and the engine's own time a run, by runs
that do nothing. notebooks: chapter 1 again and again, by papermill in a plain loop and by two
workers. many: runs that do nothing, the client's memory while they run, and the time to start a
finished sweep again. The cluster's start is counted apart: it costs the same for ten runs and for a
million.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
import torch

from uninv_lib.runs.engine import connect, each
from uninv_lib.runs.plan import plan
from uninv_lib.runs.runner import run_missing
from uninv_lib.runs.store import Store
from uninv_lib.runs.work import complete

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "runs"))
import trivial  # noqa: E402

SPECS = """
spec: {dataset: digits, model: MODEL, width: 8, attack: labels, private_size: 512,
  forget_share: 0.1, unlearning: retrain, training: converged, knowledge: public,
  probes: public, score: log_odds, device: cpu}
grid: {seed: {start: 0, count: COUNT}}
"""
NOTEBOOKS = f"""
notebook: {ROOT}/book/01_threat_model.ipynb
grid: {{request: {{start: 0, count: COUNT}}}}
"""
WORKERS, TURNS = 2, 4


def runs_of(text, count):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "grid.yaml")
        file.write_text(text.replace("COUNT", str(count)))
        return plan(file)


def serial(runs):
    """Seconds of a plain loop in this process that keeps nothing."""
    started = time.perf_counter()
    for run in runs:
        complete(run)
    return time.perf_counter() - started


@contextmanager
def cluster(runs, workers):
    """(its address, the seconds until its workers stand), each with what `runs` import and
    cache.
    """
    started = time.perf_counter()
    with connect(workers=workers) as client:
        list(each(client, runs[:1] * workers, complete))
        yield client.scheduler.address, time.perf_counter() - started


def swept(runs, address):
    """Seconds of a sweep on a cluster that stands."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        run_missing(runs, Store(Path(out)), scheduler=address)
        return time.perf_counter() - started


def compare(runs):
    """Loop and sweep take turns, a quarter of the runs each time, for the machine's speed
    drifts.
    """
    torch.set_num_threads(1)
    complete(runs[0])
    with cluster(runs, WORKERS) as (address, start):
        turns = [(serial(runs[i::TURNS]), swept(runs[i::TURNS], address)) for i in range(TURNS)]
    alone, together = map(sum, zip(*turns, strict=True))
    ratios = [loop / sweep for loop, sweep in turns]
    found = {"serial_s": alone, "sweep_s": together, "ratio": alone / together, "ratios": ratios}
    return {"runs": len(runs), **found, "start_s": start, "cores": os.cpu_count()}


@click.group()
def main():
    pass


@main.command()
@click.option("--count", default=200)
@click.option("--model", default="convnet")
def specs(count, model):
    idle = trivial.runs(count)
    with cluster(idle, 1) as (address, _):
        overhead = {"overhead_ms": 1000 * swept(idle, address) / count}
    found = compare(runs_of(SPECS.replace("MODEL", model), count)) | overhead
    print(json.dumps({"benchmark": "specs", "model": model, **found}))


@main.command()
@click.option("--count", default=24)
def notebooks(count):
    print(json.dumps({"benchmark": "notebooks", **compare(runs_of(NOTEBOOKS, count))}))


@main.command()
@click.option("--count", default=10_000)
def many(count):
    program = (
        "import sys, trivial; from pathlib import Path\n"
        "from uninv_lib.runs.runner import describe, run_missing; from "
        "uninv_lib.runs.store import Store\n"
        f"runs, store = trivial.runs({count}), Store(Path(sys.argv[1]))\n"
        f"print(describe(runs, store)); run_missing(runs, store, workers={WORKERS})\n"
    )
    with tempfile.TemporaryDirectory() as out:
        words = [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'runs')!r})\n{program}",
            out,
        ]
        started, seen = time.perf_counter(), []
        process = subprocess.Popen(words)
        while process.poll() is None:
            seen.append(psutil.Process(process.pid).memory_info().rss / 2**20)
            time.sleep(0.5)
        seconds, half = time.perf_counter() - started, seen[len(seen) // 4 :]
        started = time.perf_counter()
        subprocess.run(words, check=True)
        again = time.perf_counter() - started
        size = sum(file.stat().st_size for file in Path(out).rglob("*") if file.is_file())
    found = {"runs": count, "seconds": seconds, "resume_s": again, "bytes_a_run": size / count}
    found |= {"client_peak_mib": max(seen), "client_growth_mib": max(half) - half[0]}
    print(json.dumps({"benchmark": "many", **found}))


if __name__ == "__main__":
    main()
