"""The claims of the paper, with the Records that speak of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from uninv_lib import claims
from uninv_lib.claims import Interval

LEAK = 3.0
"""dB above the best null baseline, of which we say that a picture leaked (ours)."""
RELEASED = (
    "attack == 'fast' and forget_size == 1 and step_noise == 0 and label_smoothing == 0 "
    "and answers == 'probabilities' and knowledge == 'none' and model in ('mlp', 'linear')"
)
HOW = {"by": ("dataset", "attack"), "called": "{dataset}, `{attack}`"}
LABELS = "share {forget_share:g}, {unlearning}, {probes}, {model}"


@dataclass(frozen=True)
class Entry:
    """A claim and how it is judged. name: of the claim, "C1", or who made it; files: of results/;
    where: a query of their table; by: the columns whose values are its cases; called: what a case
    is called; column: what is measured; of: its summary; side, bound, unit: the claim's; chapter:
    the page and place of its figure; against: the column and value that each row is held against,
    by request; each: a row for each person; over: what is drawn first for intervals.
    """

    name: str
    claim: str
    files: tuple[str, ...]
    where: str
    by: tuple[str, ...]
    column: str
    side: Literal["above", "below"]
    bound: float
    chapter: str
    unit: Literal["dB", "%", ""] = "dB"
    called: str = ""
    of: Callable[..., Interval] = claims.median
    against: tuple[str, object] | None = None
    each: bool = False
    over: str | None = "model_seed"


def _size(name: str, knowledge: str) -> Entry:
    return Entry(
        "C2",
        f"C2: {name} leaks less as N grows: the gain falls by 3 dB or more from N = 1.",
        ("private_size_closed_form",),
        f"knowledge == '{knowledge}'",
        ("dtype", "private_size"),
        "gain",
        "below",
        -LEAK,
        "06_exact_vs_approximate",
        called="{dtype} (N = {private_size})",
        against=("private_size", 1),
        over=None,
    )


def _defense(claim: str, defense: str) -> list[Entry]:
    said, chapter = f"{claim}: {defense.replace('_', '-')}", "08_defenses"
    own = f"defense == '{defense}'"
    photos = f"dataset == 'photos' and defense in ('none', '{defense}')"
    at = {"by": ("strength",), "called": "at {strength:g}"}
    labels = {"files": ("defenses_labels",), "where": own, **at, "unit": "%", "of": claims.share}
    hidden = {"side": "below", "bound": 0.5, "chapter": chapter}
    ways = {"user, by answers": "label_accuracy"}
    ways["server, by the last bias"] = "label_accuracy_server"
    return [
        Entry(
            claim,
            f"{said} reduces the leak, attacker who knows.",
            ("defenses",),
            photos,
            column="capped",
            side="below",
            bound=0.0,
            chapter=chapter,
            against=("defense", "none"),
            **at,  # type: ignore[arg-type]
        ),
        Entry(
            claim,
            f"{said} hides the picture, attacker who knows.",
            ("defenses",),
            f"dataset == 'photos' and {own}",
            column="knows",
            side="below",
            bound=LEAK,
            chapter=chapter,
            **at,  # type: ignore[arg-type]
        ),
        *(
            Entry(claim, f"{said} hides the label ({who}).", column=column, **labels, **hidden)  # type: ignore[arg-type]
            for who, column in ways.items()
        ),
        Entry(
            claim,
            f"{said} costs utility (points of accuracy).",
            ("defenses", "defense_cards"),
            f"{own} and {RELEASED}",
            ("dataset", "model", "strength"),
            "cost",
            "above",
            1.0,
            chapter,
            unit="",
            called="{dataset}, {model}, at {strength:g}",
        ),
    ]


def _labels(name: str, claim: str, where: str, bound: float, *more: str) -> Entry:
    return Entry(
        name,
        f"{name}: {claim}.",
        ("labels", *more),
        where,
        ("forget_share", "unlearning", "probes", "model"),
        "label_accuracy",
        "above",
        bound,
        "05_label_inference",
        unit="%",
        called=LABELS,
        of=claims.share,
    )


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "C1",
        "C1: approximate unlearning leaks the features of a forgotten sample.",
        ("features",),
        "unlearning == 'gradient_ascent'",
        column="gain",
        side="above",
        bound=LEAK,
        chapter="03_feature_recovery",
        **HOW,  # type: ignore[arg-type]
    ),
    Entry(
        "C1",
        "C1: approximate unlearning leaks the features of a chest X-ray.",
        ("pneumonia",),
        "defense == 'none' and model == 'convnet'",
        column="gain",
        side="above",
        bound=LEAK,
        chapter="03_feature_recovery",
        **HOW,  # type: ignore[arg-type]
    ),
    _size("the stated attack", "none"),
    _size("the official attack", "pretrained private_size"),
    Entry(
        "C3",
        "C3: several samples are still recovered.",
        ("several",),
        "forget_size > 1",
        ("forget_size",),
        "gain",
        "above",
        LEAK,
        "04_recovery_measured",
        called="{forget_size} together",
        each=True,
        over="request",
    ),
    Entry(
        "C4",
        "C4: the leak of a forgotten photograph holds across architectures.",
        ("architectures", "features"),
        "dataset == 'photos' and attack == 'fast'",
        ("model",),
        "gain",
        "above",
        LEAK,
        "04_recovery_measured",
    ),
    _labels("C5", "labels leak, for both kinds and every share", "dataset == 'digits'", 0.1),
    _labels(
        "C5",
        "labels are inferred reliably",
        "dataset == 'digits' and defense == 'none'",
        0.9,
        "defenses_labels",
    ),
    _labels(
        "C6",
        "labels are inferred on medical data, by the published probes",
        "dataset == 'breast_cancer'",
        0.5,
    ),
    replace(
        _labels(
            "C6",
            "labels are inferred on financial data, by the published probes",
            "dataset in ('german_credit', 'adult')",
            0.5,
        ),
        files=("labels_other_data",),
        by=("dataset", "forget_share", "unlearning", "probes"),
        called="{dataset}, share {forget_share:g}, {unlearning}, {probes}",
    ),
    *_defense("C7", "obfuscation"),
    *_defense("C8", "pruning"),
    *_defense("C9", "fine_tuning"),
    _labels(
        "C10",
        "the black box is above chance, on digits",
        "dataset == 'digits' and probes == 'zoo'",
        0.1,
    ),
    _labels(
        "C10",
        "the black box is above chance, on medical data",
        "dataset == 'breast_cancer' and probes == 'zoo'",
        0.5,
    ),
)
