"""Runs on a cluster of processes of which any may die at any moment: nothing is lost, nothing is
done twice.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import trivial
from click.testing import CliRunner
from distributed import Future

from uninv_lib.__main__ import main
from uninv_lib.runs import engine
from uninv_lib.runs.engine import DIED, Outcome, connect, each
from uninv_lib.runs.limit import Limit
from uninv_lib.runs.runner import WRITES, run_missing
from uninv_lib.runs.store import DONE, Store
from uninv_lib.support.threads import BRIEF

pytestmark = pytest.mark.cluster
TESTS = Path(__file__).parent
CLIENT = """
import sys, trivial
from pathlib import Path
from uninv_lib.runs.runner import run_missing
from uninv_lib.runs.store import Store
address, out, count, sleep = sys.argv[1:]
runs = trivial.runs(int(count), sleep=float(sleep))
errors = run_missing(runs, Store(Path(out)), scheduler=address)
sys.exit(len(errors))
"""
WORKER = """
import sys
from distributed.cli.dask_worker import main
from distributed.utils import get_mp_context
get_mp_context().set_forkserver_preload(["trivial"])
sys.exit(main())
"""
"""A worker whose successors need not import torch again: a killed one is back at once."""
RUNS = 100
MOMENTS = ["worker"] * 3 + ["client", "scheduler"]


class Cluster:
    """A scheduler and two workers, each a process of its own on loopback, as on two nodes."""

    def __init__(self, folder):
        self.file, self.processes = folder / "scheduler.json", []
        paths = os.pathsep.join(
            [str(TESTS), str(TESTS.parents[1]), os.environ.get("PYTHONPATH", "")]
        )
        scheduler = "DASK_DISTRIBUTED__SCHEDULER__"
        settings = {
            f"{scheduler}ALLOWED_FAILURES": "0",
            f"{scheduler}WORKER_SATURATION": "1.0",
            "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver",
            "OMP_NUM_THREADS": "1",
        }
        self.environment = os.environ | settings | {"PYTHONPATH": paths}

    def start(self):
        self.file.unlink(missing_ok=True)
        place = ["--scheduler-file", str(self.file), "--no-dashboard"]
        self._python(
            "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *place
        )
        while not (self.file.exists() and self.file.read_text().endswith("}")):
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]
        for _ in range(2):
            self._python(
                "-c",
                WORKER,
                "--nthreads",
                "1",
                "--memory-limit",
                "0",
                *place,
            )

    def stop(self):
        for process in self.processes:
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()
        self.processes.clear()

    def client(self, out, count, sleep):
        return self._python(
            "-c", CLIENT, self.address, str(out), str(count), str(sleep), mine=False
        )

    def workers(self):
        """The processes that compute, below those that fork them for their nannies."""
        found = []
        for nanny in self.processes[1:]:
            with suppress(psutil.Error):  # it has just died
                for child in psutil.Process(nanny.pid).children():
                    found += child.children() * ("forkserver" in " ".join(child.cmdline()))
        return found

    def _python(self, *words, mine=True):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([sys.executable, *words], env=self.environment, **quiet)
        if mine:
            self.processes.append(process)
        return process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    made.start()
    yield made
    made.stop()


def whole(out):
    """The numbers of the finished runs, each of whose files is as its mark says."""
    numbers = []
    for name in Store(out).done():
        done = json.loads((out / name / DONE).read_text())
        assert done["run"] == name
        for file, expected in done["sha256"].items():
            assert hashlib.sha256((out / name / file).read_bytes()).hexdigest() == expected
        numbers.append(done["inputs"]["number"])
    return sorted(numbers)


@pytest.mark.long
def test_a_run_that_fails_or_kills_its_worker_is_tried_three_times_and_blocks_no_other(
    cluster, tmp_path
):
    store, poisoned, failing = (
        Store(tmp_path),
        trivial.runs(1, dies=True),
        trivial.runs(1, fails=True),
    )
    others = trivial.runs(
        20
    )  # ten before a process dies, lest it take a failure along that was not fetched yet
    errors = run_missing(
        [*failing, *others[:10], *poisoned, *others[10:]], store, scheduler=cluster.address
    )
    assert errors == {
        poisoned[0].name: "the process died (out of memory? killed?)",
        failing[0].name: "ValueError: this run cannot be",
    }
    told = [
        json.loads((store.failed / run.name / "failure.json").read_text())
        for run in (*poisoned, *failing)
    ]
    assert [failure["attempts"] for failure in told] == [3, 3]
    assert 'raise ValueError("this run cannot be")' in told[1]["traceback"]
    assert whole(tmp_path) == list(range(20))


def test_an_error_of_its_own_is_told_where_a_later_try_was_taken_along(monkeypatch):
    outcomes = iter(
        [
            Outcome(0, error="ValueError: this run cannot be", attempts=1),
            Outcome(0, error=DIED, attempts=2),
        ]
    )
    last = Outcome(0, error=DIED, attempts=3)
    monkeypatch.setattr(engine, "_outcome", lambda future, item, attempt: next(outcomes, last))
    with connect(workers=1) as client:
        (found,) = each(client, [0], abs)
    assert (found.error, found.attempts) == ("ValueError: this run cannot be", 3)


@pytest.mark.long
@pytest.mark.parametrize("harm", ["cancelled", "lost"])
def test_a_result_that_a_living_cluster_loses_is_made_again(harm):
    with connect(workers=1) as client:
        outcomes = each(client, range(8), abs)
        found = [next(outcomes)]
        while [state.status for state in client.futures.values()] != [
            "finished"
        ]:  # 0 is let go, 1 waits to be fetched
            time.sleep(0.01)
        ((key, state),) = client.futures.items()
        if harm == "cancelled":
            client.cancel([Future(key, client)])
        else:
            (worker,) = client.run(os.getpid).values()
            os.kill(worker, signal.SIGKILL)
        while state.status != harm:
            time.sleep(0.001)
        found += outcomes
    assert sorted((outcome.value, outcome.attempts) for outcome in found) == [
        (i, 1 + (i == 1)) for i in range(8)
    ]


@pytest.mark.long
@pytest.mark.parametrize(("retry", "attempts"), [(False, 1), (True, 3)])
def test_a_run_that_hangs_is_ended_with_what_it_started_and_blocks_no_other(
    cluster, tmp_path, retry, attempts
):
    store, child = Store(tmp_path / "runs"), tmp_path / "child"
    (hanging,) = trivial.runs(1, hangs=str(child))
    others = trivial.runs(8)
    limit = Limit(0.3, retry)
    errors = run_missing(
        [others[0], hanging, *others[1:]], store, scheduler=cluster.address, limit=limit
    )
    assert errors == {hanging.name: "timeout: not finished after 0.3 s"}
    told = json.loads((store.failed / hanging.name / "failure.json").read_text())
    assert (told["attempts"], told["late"]) == (attempts, True)
    assert "time.sleep(600)" in told["traceback"]
    assert whole(store.folder) == list(range(8))
    with suppress(psutil.NoSuchProcess):
        assert psutil.Process(int(child.read_text())).status() == psutil.STATUS_ZOMBIE


def test_a_process_that_dies_in_time_ran_not_out_of_it(cluster, tmp_path):
    store, (poisoned,) = Store(tmp_path), trivial.runs(1, dies=True)
    errors = run_missing([poisoned], store, scheduler=cluster.address, limit=Limit(60))
    assert errors == {poisoned.name: DIED}
    assert not json.loads((store.failed / poisoned.name / "failure.json").read_text())["late"]


def test_two_sweeps_share_a_folder(cluster, tmp_path):
    runs, failures = trivial.runs(30, sleep=0.02), []
    sweeps = [
        threading.Thread(
            target=lambda: failures.append(
                run_missing(runs, Store(tmp_path), scheduler=cluster.address)
            )
        )
        for _ in range(2)
    ]
    for thread in sweeps:
        thread.start()
    for thread in sweeps:
        thread.join()
    assert failures == [{}, {}]
    assert whole(tmp_path) == list(range(30))
    assert not list(tmp_path.glob(".draft-*"))


def test_a_disk_that_is_full_for_a_moment_costs_that_run_and_one_that_stays_full_ends_the_sweep(
    cluster, tmp_path, monkeypatch
):
    store, runs, keep, tried = Store(tmp_path), trivial.runs(12), Store.keep, []

    def full(self, name, files):
        tried.append(name)
        if len(tried) in (1, 2, 4) or len(tried) > 6:
            raise OSError(28, "No space left on device")
        keep(self, name, files)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep", full)
        with pytest.raises(OSError, match="No space left"):
            run_missing(runs, store, scheduler=cluster.address)
    assert len(tried) == 6 + WRITES
    assert len(whole(tmp_path)) == 3
    assert run_missing(runs, store, scheduler=cluster.address) == {}
    assert whole(tmp_path) == list(range(12))


@pytest.mark.long
def test_workers_share_the_cores_wait_briefly_and_leave_the_environment_alone(brief, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("uninv_lib.runs.engine.CPU_COUNT", 6)
    with connect(workers=2) as client:
        found = {
            one.item: one.value for one in each(client, ["OMP_NUM_THREADS", *BRIEF], os.getenv)
        }
    assert found == {"OMP_NUM_THREADS": "3", **BRIEF}
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.long
def test_ctrl_c_stops_a_sweep_and_says_how_to_go_on(tmp_path):
    grid, out = tmp_path / "grid.yaml", tmp_path / "runs"
    fields = "{dataset: digits, model: linear, budget: smoke, device: cpu}"
    grid.write_text(f"spec: {fields}\ngrid: {{seed: {{start: 0, count: 300}}}}")
    words = [
        sys.executable,
        "-m",
        "uninv_lib",
        "sweep",
        str(grid),
        "--out",
        str(out),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (out.exists() and Store(out).done()):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to workers too
    _, told = process.communicate()
    assert process.returncode == 130
    assert told.endswith(
        f"stopped; what was finished is in {out}, and the same command goes on from there\n"
    )
    assert "Traceback" not in told


def test_a_scheduler_that_does_not_answer_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("uninv_lib.runs.engine.TIMEOUT", 0.2)
    grid, words = (
        tmp_path / "grid.yaml",
        ["--out", str(tmp_path / "runs"), "--scheduler", "tcp://127.0.0.1:9"],
    )
    grid.write_text("spec: {dataset: digits}")
    result = CliRunner().invoke(main, ["sweep", str(grid), *words])
    assert result.exit_code == 1
    assert "scheduler: nothing answers at 'tcp://127.0.0.1:9'" in result.stderr


@pytest.mark.long
def test_any_process_may_be_killed_at_any_moment(tmp_path):
    count, sleep, rng = RUNS, 0.05, random.Random(0)
    cluster, out, moments = Cluster(tmp_path), tmp_path / "runs", rng.sample(MOMENTS, len(MOMENTS))
    Store(out)
    cluster.start()
    client = cluster.client(out, count, sleep)
    try:
        while moments:
            seen = len(Store(out).done())
            while client.poll() is None and len(Store(out).done()) < seen + rng.randint(1, 8):
                time.sleep(rng.uniform(0, 0.1))
            if client.poll() is None and _kill(cluster, client, moments[-1], rng):
                moments.pop()
            if client.poll() is not None:
                if cluster.processes[0].poll() is not None:
                    cluster.stop()
                    cluster.start()
                count += 40 * (len(whole(out)) == count)
                client = cluster.client(out, count, sleep)
        if client.wait() != 0:  # tries again what was killed three times
            client = cluster.client(out, count, sleep)
            assert client.wait() == 0
    finally:
        client.kill()
        cluster.stop()
    assert whole(out) == list(range(count))
    others = {
        entry.name for entry in out.iterdir() if not entry.name.startswith(".draft-")
    } - Store(out).done()
    assert others <= {"failed"}


def _kill(cluster, client, victim, rng):
    """Whether there was one to kill; returns when those that depend on it have noticed."""
    if victim == "worker":
        workers = cluster.workers()
        if workers:
            with suppress(psutil.Error):
                rng.choice(workers).kill()
        return bool(workers)
    process = client if victim == "client" else cluster.processes[0]
    process.kill()
    process.wait()
    client.wait()
    return True
