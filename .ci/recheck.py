"""Recompute three committed Records, chosen by the commit's hash, and compare: python .ci/recheck.py [HASH].

Left out are Records that took over a minute, those of a graphics card, those of answers that are rounded, noisy or a
label, and those of a convnet: on another processor the rounding of thousands of steps may turn a search, or two labels
that are nearly tied. On one machine's CPU metrics repeat bit for bit; on another one sums are in another order, and
what follows differs in the last digits. Labels must be the same; PSNR may differ by 1 dB, which is far below what any
chapter claims, and the rest by a hundredth of its size.
"""

import math
import random
import sys

import torch

from uninv_lib import Record, run
from uninv_lib.provenance import commit
from uninv_lib.sweep import RESULTS, read

SECONDS = 60.0
CHOSEN = 3
EXACT = ("label_accuracy", "forgotten", "forgotten_label", "inferred_label", "rank", "something_changed", "chance")
DECIBELS = 1.0
RELATIVE, ABSOLUTE = 0.01, 1e-5
LEAK = 80.0
"""dB. Above it a picture is the sample itself up to rounding, and the PSNR measures the rounding."""


def candidates() -> list[Record]:
    names = sorted(file.stem for file in (RESULTS.parent / "sweeps").glob("*.yaml"))
    return [r for name in names for r in read(name) if _may_be_recomputed(r)]


def _may_be_recomputed(record: Record) -> bool:
    exact = record.spec.answers == "probabilities"  # others jump by a step where the last digit differs
    quick = sum(record.seconds.values()) < SECONDS
    return exact and quick and record.device == "cpu" and record.spec.model != "convnet"


def differences(old: Record, new: Record) -> list[str]:
    """The metrics of the old Record that the new one does not repeat."""
    return [
        f"{name}: recorded {value:.6g}, now {new.metrics.get(name, math.nan):.6g}"
        for name, value in old.metrics.items()
        if not _close(name, value, new.metrics.get(name, math.nan))
    ]


def _close(name: str, old: float, new: float) -> bool:
    if name in EXACT:
        return old == new
    if name.startswith("psnr"):
        return min(old, new) > LEAK or abs(old - new) <= DECIBELS
    return math.isclose(old, new, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def main() -> int:
    torch.set_num_threads(1)
    seed = sys.argv[1] if len(sys.argv) > 1 else (commit() or "none").rstrip("+")
    failed = 0
    for old in random.Random(seed).sample(candidates(), CHOSEN):
        found = differences(old, run(old.spec.model_copy(update={"device": "cpu"})))
        failed += bool(found)
        print(old.spec.model_dump_json(exclude_defaults=True), *found or ["repeats"], sep="\n  ")
    return failed


if __name__ == "__main__":
    sys.exit(main())
