"""METRICS: what a run is measured by; a Record holds what these functions return.

A metric may come in several flavours, each with a suffix to its name: psnr, psnr_random, psnr_0. A
new metric is a function of an Outcome and one line in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from uninv_lib.measure.features import (
    certified,
    cost,
    feature_cosine,
    forgotten_confidence,
    gain,
    mse,
    psnr,
    recovered_label,
    recovered_labels,
    residual,
    something_changed,
    ssim,
    update_cosine,
)
from uninv_lib.measure.forgetting import over_unlearning, retraining_distance
from uninv_lib.measure.labels import (
    chance,
    change,
    change_of_forgotten,
    count_error,
    forgotten,
    inferred_label,
    inferred_labels,
    queries,
    rank,
)
from uninv_lib.measure.membership import membership
from uninv_lib.measure.outcome import Outcome, Values
from uninv_lib.measure.utility import accuracy, epsilon, forgotten_label
from uninv_lib.types import LabelScores, MembershipScores, Reconstruction

__all__ = ["METRICS", "Metric", "Outcome", "measure", "metric_of", "metrics_of"]


@dataclass(frozen=True)
class Metric:
    """unit: "dB", "%" (a share in [0, 1]), "class", "score", "" for none; repeats: on another
    machine's CPU exactly, nearly, or by jumps, where one sample or one rounding decides; shown: in
    a report, beside the table.
    """

    unit: str
    meaning: str
    function: Callable[[Outcome], Values]
    repeats: Literal["exactly", "nearly", "jumps"] = "nearly"
    shown: bool = True


METRICS: dict[type, dict[str, Metric]] = {
    Reconstruction: {
        "gain": Metric("dB", "PSNR above that of the best null baseline; a leak above 0", gain),
        "psnr": Metric("dB", "peak signal-to-noise ratio, peak 1; mean over samples", psnr),
        "mse": Metric("", "mean squared error; mean over samples", mse, shown=False),
        "ssim": Metric("", "structural similarity; mean over samples", ssim),
        "label_accuracy": Metric("%", "right labels", recovered_labels, "exactly"),
        "inferred_label": Metric(
            "class", "of the first sample", recovered_label, "exactly", shown=False
        ),
        "something_changed": Metric(
            "", "0 where the update was lost in rounding", something_changed, "exactly", shown=False
        ),
        "forgotten_confidence": Metric(
            "",
            "confidence of the model before in the forgotten labels",
            forgotten_confidence,
            shown=False,
        ),
        "update_cosine": Metric(
            "",
            "cosine of the update and the forgotten samples' gradient",
            update_cosine,
            shown=False,
        ),
        "residual": Metric(
            "",
            "share of the update that is not explained by what was solved, by its name",
            residual,
            shown=False,
        ),
        "certified": Metric(
            "",
            "1 where it is explained up to rounding, so that nothing else is left to find",
            certified,
            "jumps",
            shown=False,
        ),
        "cost": Metric("", "the lowest cost of the search", cost, shown=False),
        "feature_cosine": Metric(
            "", "cosine of the last layer's features found and true", feature_cosine, shown=False
        ),
    },
    LabelScores: {
        "label_accuracy": Metric("%", "right labels", inferred_labels, "exactly"),
        "inferred_label": Metric(
            "class", "the first of the ranking", inferred_label, "exactly", shown=False
        ),
        "count_error": Metric(
            "%", "forgotten samples put in a wrong class", count_error, "jumps", shown=False
        ),
        "rank": Metric("", "of the forgotten class, from 1", rank, "jumps", shown=False),
        "change": Metric("score", "of each class's score on its own probes", change, shown=False),
        "change_of_forgotten": Metric(
            "score", "of the forgotten classes", change_of_forgotten, shown=False
        ),
        "chance": Metric("%", "label accuracy of a guess", chance, "exactly", shown=False),
        "forgotten": Metric("", "samples that were forgotten", forgotten, "exactly", shown=False),
        "queries": Metric(
            "", "answers asked for the probes, and for the scores", queries, shown=False
        ),
    },
    MembershipScores: {
        "membership": Metric(
            "%",
            "forgotten samples that look more forgotten than unseen ones; 50% is a guess",
            membership,
        ),
        "retraining_distance": Metric(
            "",
            "answers, from those of retrained models, in units of how far these are apart",
            retraining_distance,
        ),
        "over_unlearning": Metric(
            "",
            "confidence in the forgotten labels, below that of retrained models; above 0 more is "
            "gone than was learnt",
            over_unlearning,
        ),
    },
    object: {
        "forgotten_label": Metric(
            "class", "of the first sample", forgotten_label, "exactly", shown=False
        ),
        "test_accuracy": Metric("%", "accuracy on test samples", accuracy("test"), shown=False),
        "retained_accuracy": Metric(
            "%", "accuracy on retained samples", accuracy("retained"), shown=False
        ),
        "forgotten_accuracy": Metric(
            "%", "accuracy on forgotten samples", accuracy("forgotten"), shown=False
        ),
        "epsilon": Metric(
            "",
            "ε of differential privacy, at dp_delta, of what DP-SGD tells of a retained sample",
            epsilon,
            shown=False,
        ),
    },
}
"""By the type of what an attack gives, and for all (object)."""


def metrics_of(kind: type) -> dict[str, Metric]:
    """The metrics of what an attack gives, by name."""
    tables = [table for of, table in METRICS.items() if issubclass(kind, of)]
    return {name: metric for table in tables for name, metric in table.items()}


def measure(outcome: Outcome) -> dict[str, float]:
    """All metrics of an outcome, by name and suffix. Raises RuntimeError that names one which
    fails.
    """
    found: dict[str, float] = {}
    for name, metric in metrics_of(type(outcome.found)).items():
        try:
            values = metric.function(outcome)
            found |= {f"{name}{suffix}": float(value) for suffix, value in values.items()}
        except Exception as error:
            raise RuntimeError(f"metric {name!r}: {error!r}") from error
    return found


def metric_of(name: str) -> tuple[str, Metric] | None:
    """The metric that a name of a Record belongs to, and its own name, without a suffix; None for
    another.
    """
    known = {key: metric for table in METRICS.values() for key, metric in table.items()}
    fitting = [key for key in known if name == key or name.startswith(f"{key}_")]
    best = max(fitting, key=len, default=None)
    return None if best is None else (best, known[best])
