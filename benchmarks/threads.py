"""How long a recovery takes on an idle machine and beside a busy process: python
benchmarks/threads.py [--turns N] [--budget NAME] [--all]; benchmark_threads.jsonl.

A photograph's recovery from a convnet, each time in a process of its own, for the OpenMP runtime
reads once how its threads wait. The ways: `default`, as the library does it, one thread for a net
of this size; `brief`, torch's own number of threads, which wait as `import uninv_lib` sets it; with
--all also `spinning`, libgomp's own way, and `sleeping`, at once, with as many threads: both may
take minutes in place of seconds. In each turn every way runs
alone and beside one process that only counts, so that what else the machine does falls on all
alike. Rows hold the seconds, and the ratios within a turn; `load` is the system's load average at
the beginning, which says whether the machine was idle.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from uninv_lib.results import RESULTS
from uninv_lib.support.provenance import versions
from uninv_lib.support.threads import OWN

RECOVERY = """
from uninv_lib import Spec, run
from uninv_lib.support import threads
threads.SMALL = threads.SMALL if WAY == 'default' else 0
spec = Spec(dataset="photos", model="convnet", width=8, device="cpu", budget="BUDGET")
print(run(spec).seconds["attack"])
"""
WAYS: dict[str, dict[str, str]] = {"default": {}, "brief": {}}
SLOW = {  # what is set stands
    "spinning": {"GOMP_SPINCOUNT": "300000"},
    "sleeping": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
}
UNSET = {*OWN, "OMP_NUM_THREADS", "MKL_NUM_THREADS"}


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Another process that keeps one core busy, or none."""
    counting = [sys.executable, "-c", "while True: pass"]
    other = subprocess.Popen(counting) if busy else None
    try:
        yield
    finally:
        if other:
            other.kill()
            other.wait()


def seconds(way: str, budget: str, busy: bool) -> float:
    """Of the recovery alone: its model is kept from the first process on."""
    environment = {name: word for name, word in os.environ.items() if name not in UNSET}
    recovery = RECOVERY.replace("BUDGET", budget).replace("WAY", repr(way))
    program = [sys.executable, "-c", recovery]
    with neighbour(busy):
        told = subprocess.run(
            program,
            env=environment | (WAYS | SLOW)[way],
            check=True,
            capture_output=True,
            text=True,
        )
    return float(told.stdout)


def row(way: str, turns: list[tuple[float, float]]) -> dict[str, object]:
    """turns: (seconds alone, seconds beside the busy process) of each."""
    alone, beside = zip(*turns, strict=True)
    ratios = [slow / quick for quick, slow in turns]
    return {
        "benchmark": "threads",
        "way": way,
        "alone_s": [round(s, 2) for s in alone],
        "beside_s": [round(s, 2) for s in beside],
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 3),
    }


@click.command()
@click.option("--turns", default=3, help="of every way, alone and beside the busy process")
@click.option("--budget", default="quick", help="effort of the recovery, as of a Spec")
@click.option("--all", "all_ways", is_flag=True, help="the ways that may take minutes, too")
def main(turns: int, budget: str, all_ways: bool) -> None:
    ways = [*WAYS, *(SLOW if all_ways else ())]
    load = round(os.getloadavg()[0], 2)
    seconds("default", budget, busy=False)  # trains and keeps the model
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(turns):
        for way in ways:
            found[way].append((seconds(way, budget, False), seconds(way, budget, True)))
    machine = {"budget": budget, "cores": os.cpu_count(), "load": load, "versions": versions()}
    with (RESULTS / "benchmark_threads.jsonl").open("w", encoding="utf-8") as out:
        for way in ways:
            line = json.dumps(row(way, found[way]) | machine)
            print(line)
            out.write(line + "\n")


if __name__ == "__main__":
    main()
