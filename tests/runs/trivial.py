"""Work that takes no time, for tests and benchmarks of sweeps; workers import it from here."""

import os
import subprocess
import time
from pathlib import Path

from uninv_lib.runs.work import named

FILE = "records.jsonl"


def work(inputs):
    """Sleep, then fail or die where the inputs say so."""
    time.sleep(inputs.get("sleep", 0.0))
    if "hangs" in inputs:  # as a notebook's kernel would, in a process of its own
        Path(inputs["hangs"]).write_text(str(subprocess.Popen(["sleep", "600"]).pid))
        time.sleep(600)
    if inputs.get("dies"):
        os._exit(9)
    if inputs.get("fails"):
        raise ValueError("this run cannot be")
    return {FILE: str(inputs["number"]).encode() * 1000}


def coded(inputs):
    """One code for all."""
    return "0123456789abcdef"


def runs(count, **common):
    return [named({"number": i, "device": "cpu", **common}, work, coded) for i in range(count)]
