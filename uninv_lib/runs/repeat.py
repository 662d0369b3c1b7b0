"""Some Records of results/ computed once more, and compared.

On one machine's CPU metrics repeat bit for bit. On another one sums are in another order, and what
follows differs in the last digits. Labels must be the same; PSNR may differ by 1 dB, which is far
below what any chapter claims, changes of the score by a tenth of the largest, and the rest by a
hundredth of its size. Left out are Records that took over a minute, those of a graphics card or of
data that are not there, and those where the last digits decide: answers that are rounded, noisy or
a label, or hardly change; convnets, whose search, or two labels that are nearly tied, may turn, as
may those of several classes and after fine-tuning as a defense; photographs, where pretraining ends
at another net; and what float32 rounds away of exact unlearning.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator

from uninv_lib.data import absent
from uninv_lib.experiment import run
from uninv_lib.measure import metric_of
from uninv_lib.results import RESULTS, read
from uninv_lib.runs.reproduce import sweeps
from uninv_lib.spec import Record

SECONDS = 60.0
JUMPS = re.compile(r"\w*_max_diff|label_accuracy_\d+")
"""Flavours of a metric that jump to another picture, or by the rounding of a single probe's answer.
"""
DECIBELS = 1.0
RELATIVE, ABSOLUTE, CHANGE = 0.01, 1e-5, 0.1
TINY = 1e-6
"""A change of confidence that is hardly more than float32's rounding."""
LEAK = 80.0
"""dB. Above it a picture is the sample itself up to rounding, and the PSNR measures the
rounding."""


def candidates() -> list[Record]:
    """The Records of all sweeps that another CPU repeats, too."""
    names = [name for name in sweeps() if (RESULTS / f"{name}.jsonl").exists()]
    return [r for name in names for r in read(name) if _may_be_recomputed(r)]


def _may_be_recomputed(record: Record) -> bool:
    spec, quick = record.spec, sum(record.seconds.values()) < SECONDS and record.device == "cpu"
    trained = spec.model != "convnet" and (spec.dataset != "photos" or spec.training == "converged")
    exact = (
        spec.attack != "labels" and spec.unlearning == "retrain" and spec.training == "one_epoch"
    )
    rounded = spec.answers != "probabilities" or (exact and spec.dtype == "float32")
    changed = abs(record.metrics.get("change_of_forgotten", 1.0)) > TINY
    tied = spec.forget_classes > 1 or spec.defense == "fine_tuning" or not changed
    return quick and trained and not rounded and not tied and not absent([spec.dataset])


def differences(old: Record, new: Record) -> list[str]:
    """The metrics of the old Record that the new one does not repeat."""
    largest = max(
        (abs(v) for name, v in old.metrics.items() if name.startswith("change_")), default=0.0
    )
    return [
        f"{name}: recorded {value:.6g}, now {new.metrics.get(name, math.nan):.6g}"
        for name, value in old.metrics.items()
        if not _close(name, value, new.metrics.get(name, math.nan), largest)
    ]


def _close(name: str, old: float, new: float, largest: float) -> bool:
    found = metric_of(name)
    if found is None or found[1].repeats == "jumps" or JUMPS.fullmatch(name):
        return not math.isnan(new)
    if found[1].repeats == "exactly":
        return old == new
    if found[1].unit == "dB":
        return min(old, new) > LEAK or abs(old - new) <= DECIBELS
    if found[1].unit == "score":
        return abs(old - new) <= max(CHANGE * largest, ABSOLUTE)
    return math.isclose(old, new, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def repeated(count: int, seed: str) -> Iterator[tuple[Record, list[str]]]:
    """`count` Records drawn by the seed, each computed once more on the CPU, and what of it
    differs. Raises ValueError for more than there are.
    """
    there = candidates()
    if count > len(there):
        raise ValueError(f"count: {count}; allowed: 1 to {len(there)}, the Records that repeat")
    for old in random.Random(seed).sample(there, count):
        yield old, differences(old, run(old.spec.but(device="cpu")))
