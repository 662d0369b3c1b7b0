"""What pages show of methods, metrics and options: their names, units, colours and shapes.

The one place for them. A page gets them as a trait of each widget and has none of its own; a method
that is not named here is shown by its name, with what can be said of any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from uninv_lib.attacks import ATTACKS
from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.attacks.labels.answers import SCORES
from uninv_lib.attacks.labels.probes import METHODS as PROBES
from uninv_lib.defenses import DEFENSES
from uninv_lib.figures.palette import COLOURS, styles
from uninv_lib.measure import metric_of
from uninv_lib.methods import TABLES, method_of
from uninv_lib.models import MODELS
from uninv_lib.options import options_of
from uninv_lib.unlearning import UNLEARNING

Words = dict[str, Any]

MODEL: dict[str, Words] = {
    "linear": {"name": "softmax regression"},
    "mlp": {"name": "one hidden layer"},
}
METHOD: dict[str, Words] = {
    "gradient_ascent": {
        "name": "approximate",
        "drowns": "what rounding left",
        "mixed": "Every unit that moved says the same.",
    },
    "retrain": {
        "name": "exact",
        "drowns": "what the others taught the model",
        "mixed": "What the others taught the model is mixed in.",
    },
    "neggrad_plus": {"name": "NegGrad+"},
    "salun": {"name": "SalUn"},
    "scrub": {"name": "SCRUB"},
    "fisher": {"name": "Fisher noise"},
    "newton": {"name": "Newton step"},
    "sisa": {"name": "SISA"},
}
"""drowns: what else is in the update, where the picture's gradient is not found; mixed: the same as
a sentence."""
PROBE: dict[str, Words] = {
    "public": {"name": "public samples, read in log-odds"},
    "gradient": {"name": "published probes, made with the gradient"},
    "zoo": {"name": "published probes, made by queries"},
}
SCORE: dict[str, Words] = {"log_odds": {"name": "log-odds"}}
DEFENSE: dict[str, Words] = {
    "none": dict.fromkeys(("known", "known_to_rows", "mixed"), ""),
    "obfuscation": {
        "unit": "× the update",
        "known": (
            "Who knows of the noise and its strength filters each layer of it, and averages the "
            "releases where there are several."
        ),
        "unknown": (
            "The attack fits all units at once, which averages the noise without knowing of it."
        ),
        **dict.fromkeys(
            ("known_to_rows", "unknown_to_rows"),
            "The attack fits all rows of the first layer at once, which averages the noise. From "
            "one release we know no better one: knowing of the obfuscation adds nothing here.",
        ),
        "mixed": "The noise is divided, too; all units together average it, in the picture above.",
    },
    "pruning": {
        "unit": "of the weights",
        "known": (
            "Who knows of pruning takes each weight that is exactly zero for pruned, and works "
            "out what became of it from those that remain."
        ),
        "unknown": "This attacker takes each pruned weight for a change made by unlearning.",
        "known_to_rows": (
            "A pruned weight is exactly zero, and biases stay: the attacker fills it in from "
            "those left."
        ),
        "unknown_to_rows": "The attacker takes each pruned weight for a change made by unlearning.",
        "mixed": "A pruned weight is filled in from the units that kept theirs.",
        "mixed_unknown": "A pruned weight moved by all that it was, and drowns the drawing.",
    },
    "fine_tuning": {
        "name": "fine-tuning",
        "unit": "epochs",
        "one": "epoch",
        "known": (
            "Who knows of fine-tuning takes off what public samples in the place of the retained "
            "explain of the update."
        ),
        "unknown": "This attacker takes what fine-tuning changed for a change made by unlearning.",
        **dict.fromkeys(
            ("known_to_rows", "unknown_to_rows"),
            "This attacker, who has no public samples, takes the fine-tuning for unlearning.",
        ),
        "mixed": "What fine-tuning learned from the others is mixed in.",
    },
    "sign": {
        "name": "sign compression",
        "unit": "of 1, signs alone",
        "known": (
            "Who knows of the compression and its strength draws the sizes apart again; of signs "
            "alone, the signs are matched."
        ),
        "mixed": "The sizes are pressed together; the signs stayed.",
    },
    "top_k": {
        "name": "top-k",
        "unit": "of the update dropped",
        "known": (
            "Who knows of the dropping takes what did not move for unknown, not for zero, and "
            "fills it in from what moved."
        ),
        "unknown": "This attacker takes what was dropped for what unlearning did not change.",
        "mixed": "What was dropped is missing; what was released is right.",
    },
    "rounding": {
        "unit": "× the update's RMS, a step",
        "known": (
            "Who knows of the rounding takes the mean of all that would have been rounded to the "
            "same number."
        ),
        "unknown": "This attacker takes the rounding of every weight for a change by unlearning.",
        "mixed": "Every weight was moved to the grid, also those that unlearning left alone.",
    },
    "precision": {
        "name": "fewer digits",
        "unit": "binary digits dropped",
        "one": "binary digit dropped",
        "known": (
            "Who knows of the dropped digits takes the mean of all that would have been rounded "
            "to the same number."
        ),
        "unknown": "This attacker takes the rounding of every weight for a change by unlearning.",
        "mixed": "Every weight lost its last digits, also those that unlearning left alone.",
    },
    "decoys": {
        "unit": "decoys",
        "one": "decoy",
        "known": (
            "Who knows the number of decoys takes them for forgotten, too, and tells all apart: "
            "the nearest picture is shown, and the decoys leak as well."
        ),
        "unknown": "This attacker takes all updates for that of one person.",
        "mixed": "The decoys' own pictures are mixed in.",
    },
    "projection": {
        "unit": "of the shared part removed",
        "known": (
            "Who knows of the projection puts back what public samples in the place of the "
            "retained say was removed."
        ),
        "mixed": "What retained samples share with it is taken out.",
    },
    "cosine": {
        "name": "rotation",
        "unit": "°",
        "known": "Who knows of the rotation and its angle filters it like noise of its length.",
        "mixed": "The direction that it was turned towards is mixed in.",
    },
    "dp_sgd": {
        "name": "DP-SGD",
        "unit": "× the clip, the noise",
        "known": (
            "Who knows of DP-SGD takes off what public samples in the place of the retained "
            "explain of the update."
        ),
        "mixed": "What DP-SGD learned from the others, and its noise, are mixed in.",
    },
}
"""unit: of its strength, `one` for 1; known, unknown: what the attacker makes of it who knows of
it, and who does not; _to_rows: the same of the closed form over the first layer's rows; mixed: what
else is in the weights of one unit, `mixed_unknown` for who does not know."""
METRIC: dict[str, Words] = {
    "gain": {"name": "gain above the best null"},
    "psnr": {"name": "PSNR"},
    "change": {"name": "change"},
    "test_accuracy": {"name": "test accuracy"},
    "label_accuracy": {"name": "label"},
    "cosine": {
        "name": "cosine of the gradients",
        "unit": "",
        "meaning": "of the update and of the gradient that the picture would cause",
    },
    "tv": {
        "name": "total variation",
        "unit": "",
        "meaning": "mean difference of neighbouring pixels",
    },
    "similarity": {
        "name": "similarity",
        "unit": "",
        "meaning": (
            "the cosine of the two pictures, measured from the mean grey: 1 is the drawing itself"
        ),
    },
    "seconds": {"name": "computed in", "unit": "ms", "meaning": "wall time in the page"},
}
"""Unit and meaning of what a Record holds come from METRICS."""
OPTION: dict[str, Words] = {
    "sample": {"name": "Forgotten picture"},
    "request": {"name": "Forgotten picture"},
    "forgotten": {"name": "Forgotten class"},
    "private_size": {"name": "Private samples, yours among them"},
    "forget_size": {"name": "Forgotten together"},
    "forget_share": {"name": "Share of the class", "unit": "%"},
    "model": {"name": "Model"},
    "unlearning": {"name": "Unlearning"},
    "unlearning_rate": {"name": "Unlearning rate"},
    "defense": {"name": "Defense"},
    "strength": {"name": "Strength"},
    "probes": {"name": "The attacker asks"},
    "seed": {"name": "Model before, number"},
}
SHAPES: dict[str, Words] = {
    "o": {"glyph": "●", "path": "M1 0A1 1 0 0 1-1 0A1 1 0 0 1 1 0Z"},
    "s": {"glyph": "■", "path": "M-1-1H1V1H-1Z"},
    "^": {"glyph": "▲", "path": "M0-1.3L1.2 1H-1.2Z"},
    "D": {"glyph": "◆", "path": "M0-1.4L1.4 0L0 1.4L-1.4 0Z"},
    "v": {"glyph": "▼", "path": "M0 1.3L1.2-1H-1.2Z"},
    "P": {"glyph": "✚", "path": "M-.5-1.4H.5V-.5H1.4V.5H.5V1.4H-.5V.5H-1.4V-.5H-.5Z"},
    "X": {"glyph": "✖", "path": "M0-.6L.8-1.4L1.4-.8L.6 0L1.4.8L.8 1.4L0 .6L-.8 1.4L-1.4.8L-.6 0"
          "L-1.4-.8L-.8-1.4Z"},
    "*": {"glyph": "★", "path": "M0-1.5L.35-.49L1.43-.46L.57.19L.88 1.21L0 .6L-.88 1.21L-.57.19"
          "L-1.43-.46L-.35-.49Z"},
    "<": {"glyph": "◀", "path": "M-1.3 0L1-1.2V1.2Z"},
    ">": {"glyph": "▶", "path": "M1.3 0L-1-1.2V1.2Z"},
    "p": {"glyph": "⬟", "path": "M0-1.3L1.24-.4L.76 1.05H-.76L-1.24-.4Z"},
    "h": {"glyph": "⬢", "path": "M0-1.3L1.13-.65V.65L0 1.3L-1.13 .65V-.65Z"},
}  # fmt: skip
"""Of each marker of the palette: a letter, and an SVG path around 0 of radius 1."""
COLOUR = {
    "line": COLOURS[0],
    "mark": COLOURS[3],
    "gap": "#ffffff",  # between the stripes of a mark
    "rest": "#8c8c8c",
    "cursor": COLOURS[1],
}


def takes(field: str, name: str, option: str) -> bool:
    """Whether the method of this name, which a field of Spec chooses, has the option."""
    return name in TABLES[field] and option in options_of(method_of(field, {field: name}))


def strengths(defense: str) -> list[Any]:
    """Strengths of a defense that are worth a look, in order: the examples of its option, else its
    default; 0 where it has no such option.

    Raises ValueError for an option with neither.
    """
    option = options_of(DEFENSES[defense]).get("strength")
    if option is None:
        return [0]
    if not option.examples and option.is_required():
        raise ValueError(f"strength of {defense}: no examples; allowed: Field(examples=[...])")
    return list(option.examples or [option.default])


def presentation() -> dict[str, dict[str, Any]]:
    """What a page shows: {a field of Spec: {each of its names: words}}, and under "metric",
    "option" and "colour" what they say.

    Words hold `name`; of a method the names of its `options`; of a defense its `colour`, its shape
    (`glyph`, `path`), whether it is `adaptive` (an attacker is known who knows of it), its `unit`
    and sentences about it. Methods that a page should show first stand first.
    """
    return {
        "model": _named(MODEL, MODELS),
        "unlearning": _named(METHOD, UNLEARNING, _of_unlearning),
        "defense": _named(DEFENSE, DEFENSES, _of_defense),
        "attack": _named({}, ATTACKS),
        "probes": _named(PROBE, PROBES),
        "score": _named(SCORE, SCORES),
        "metric": {name: {**_measured(name), **own} for name, own in METRIC.items()},
        "option": OPTION,
        "colour": COLOUR,
    }


def _measured(name: str) -> Words:
    found = metric_of(name)
    return {} if found is None else {"unit": found[1].unit, "meaning": found[1].meaning}


def _named(
    words: Mapping[str, Words],
    names: Iterable[str],
    more: Callable[[str, str], Words] = lambda _name, _shown: {},
) -> dict[str, Words]:
    found = {}
    for name in sorted(names, key=lambda name: list(words).index(name) if name in words else 99):
        own = words.get(name, {})
        shown = own.get("name", name.replace("_", " "))
        found[name] = {**more(name, shown), **own, "name": shown}
    return found


def _of_unlearning(name: str, shown: str) -> Words:
    return {
        "options": list(options_of(UNLEARNING[name])),
        "drowns": "what else unlearning changed",
        "mixed": "What else unlearning changed is mixed in.",
    }


def _of_defense(name: str, shown: str) -> Words:
    colour, marker = styles(DEFENSES)[name]
    adaptive = name in ADAPTIVE
    known = (
        f"Who knows of {shown} undoes what can be undone of it."
        if adaptive
        else f"No attacker is known to us who gains from knowing of {shown}."
    )
    return {
        "options": list(options_of(DEFENSES[name])),
        "colour": colour,
        **SHAPES[marker],
        "adaptive": adaptive,
        "unit": "",
        **dict.fromkeys(("known", "known_to_rows"), known),
        **dict.fromkeys(
            ("unknown", "unknown_to_rows"),
            f"This attacker takes what {shown} did for a change made by unlearning.",
        ),
        "mixed": f"What {shown} changed is mixed in.",
    }
