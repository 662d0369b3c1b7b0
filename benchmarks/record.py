"""Record the book's long runs: python benchmarks/record.py NAME [NAME ...], or all; results/NAME.jsonl."""

import sys

from uninv_lib.sweep import RESULTS, grid, record

CONVNET = {"model": "convnet", "width": 16}
NARROW = {"model": "convnet", "width": 8}
OFFICIAL = "pretrained,private_size"
SHARES = [0.1, 0.5, 1.0]
CONVERGED = {
    "training": "converged",
    "unlearning": "retrain",
    "preset": "second_order",
    "knowledge": "public,weight_decay",
    "request": range(16),
}
METHODS = ["gradient_ascent", "retrain"]
STRENGTHS = {"obfuscation": [0.1, 0.3, 1.0, 3.0], "pruning": [0.1, 0.3, 0.5, 0.9], "fine_tuning": [1, 5, 20]}


def _defended(**common: object) -> list:
    """No defense, then each defense at each of its strengths."""
    specs = grid(**common)
    for defense, strengths in STRENGTHS.items():
        specs += grid(defense=defense, strength=strengths, **common)
    return specs


GRIDS = {
    # C1 and the null baselines: one forgotten sample, approximate unlearning
    "features": [
        *grid(dataset="photos", **CONVNET, request=range(16)),
        *grid(dataset="photos", **CONVNET, request=range(16), preset="paper", knowledge="labels"),
        *grid(dataset=["faces", "digits"], **CONVNET, request=range(16)),
    ],
    # C4: architectures beside the convnet of `features`
    "architectures": grid(dataset="photos", model=["linear", "mlp"], width=8, request=range(16)),
    # C3: several samples at once
    "several": [
        spec
        for size, requests in ((2, 4), (4, 2), (8, 1))
        for spec in grid(dataset="photos", **CONVNET, forget_size=size, private_size=64, request=range(requests))
    ],
    # C2: exact unlearning, the stated attack and the official code's
    "private_size": grid(
        dataset="digits",
        **NARROW,
        unlearning="retrain",
        private_size=[1, 32],
        knowledge=["none", OFFICIAL],
        seed=range(8),
    ),
    # The same through the closed form, where the arithmetic shows
    "private_size_closed_form": grid(
        dataset="digits",
        model="mlp",
        unlearning="retrain",
        private_size=[1, 8, 32, 128],
        knowledge=["none", OFFICIAL],
        dtype=["float32", "float64"],
        seed=range(16),
    ),
    # Exact unlearning of a last layer trained to convergence, undone with public data
    "second_order": [
        *grid(dataset="digits", model="linear", **CONVERGED, private_size=[32, 128, 600], weight_decay=[1.0, 10.0]),
        *grid(
            dataset="digits",
            model="linear",
            **CONVERGED | {"knowledge": "public"},
            private_size=[32, 128, 600],
            weight_decay=[1.0, 10.0],
        ),
        *grid(dataset="digits", model="linear", **CONVERGED, private_size=600, weight_decay=10.0, dtype="float64"),
        *grid(dataset="breast_cancer", model="linear", **CONVERGED, private_size=[32, 200], weight_decay=[1.0, 10.0]),
        *grid(dataset="digits", model="mlp", **CONVERGED, private_size=[128, 600], weight_decay=10.0),
        *grid(dataset="digits", **NARROW, **CONVERGED | {"request": range(8)}, private_size=600, weight_decay=10.0),
        *grid(dataset="photos", model="linear", **CONVERGED, private_size=64, weight_decay=10.0),
        *grid(
            dataset="digits",
            model="linear",
            **CONVERGED | {"request": range(4)},
            private_size=128,
            weight_decay=10.0,
            forget_size=2,
        ),
    ],
    # Label inference by the last layer's parameters
    "labels_parameters": [
        spec
        for model, method, seeds in (
            ({"model": "mlp"}, "retrain", 10),
            ({"model": "mlp"}, "gradient_ascent", 2),
            (NARROW, "retrain", 3),
        )
        for spec in grid(
            dataset="digits",
            **model,
            attack="labels",
            training=["one_epoch", "converged"],
            unlearning=method,
            private_size=512,
            forget_share=[0.01, 0.1],
            knowledge="public",
            probes="public",
            score="log_odds",
            seed=range(seeds),
            request=range(10),
        )
    ],
    # C5, C6, C10: label inference, 5 models before with 10 requests each
    "labels": [
        *grid(
            dataset="digits",
            **NARROW,
            attack="labels",
            private_size=512,
            forget_share=SHARES,
            unlearning=METHODS,
            probes=["gradient", "zoo"],
            seed=range(5),
            request=range(10),
        ),
        *grid(
            dataset="breast_cancer",
            model="mlp",
            attack="labels",
            private_size=200,
            forget_share=SHARES,
            unlearning=METHODS,
            probes=["gradient", "zoo"],
            seed=range(5),
            request=range(10),
        ),
    ],
    # C5 and C10 again, for log-odds asked at public samples: 10 models before with 10 requests each
    **{
        f"labels_scores_{model['model']}": grid(
            dataset="digits",
            **model,
            attack="labels",
            private_size=512,
            forget_share=[0.01, 0.1],
            unlearning=METHODS,
            probes="public",
            score="log_odds",
            seed=range(10),
            request=range(10),
        )
        for model in (NARROW, {"model": "mlp"})
    },
    # Both repairs apart: saturated, middling, public and boundary probes, by confidence and by log-odds
    "labels_queries": grid(
        dataset="digits",
        **NARROW,
        attack="labels",
        private_size=512,
        forget_share=0.1,
        probes=["zoo", "middling", "public", "boundary"],
        score=["confidence", "log_odds"],
        seed=range(5),
        request=range(10),
    ),
    # What a service may do to its answers, and several classes at once
    "labels_answers": [
        *grid(
            dataset="digits",
            model="mlp",
            attack="labels",
            private_size=512,
            forget_share=0.1,
            probes="boundary",
            answers=["probabilities", "rounded", "noisy", "label"],
            seed=range(5),
            request=range(10),
        ),
        *grid(
            dataset="digits",
            model="mlp",
            attack="labels",
            private_size=512,
            forget_share=0.1,
            forget_classes=[2, 3],
            probes="public",
            score="log_odds",
            seed=range(5),
            request=range(10),
        ),
    ],
    # C7, C8, C9: the three defenses, against both attacks
    "defenses": [
        *_defended(dataset="photos", model="mlp", width=8, request=range(16)),
        *grid(dataset="digits", **NARROW, request=range(8)),
        *grid(dataset="digits", **NARROW, request=range(8), defense="obfuscation", strength=1.0),
        *grid(dataset="digits", **NARROW, request=range(8), defense="pruning", strength=0.5),
        *grid(dataset="digits", **NARROW, request=range(8), defense="fine_tuning", strength=5),
    ],
    "defenses_labels": _defended(
        dataset="digits",
        model="mlp",
        attack="labels",
        private_size=512,
        forget_share=0.5,
        seed=range(5),
        request=range(10),
    ),
}

if __name__ == "__main__":
    names = list(GRIDS) if sys.argv[1:] == ["all"] else sys.argv[1:]
    if not names or set(names) - set(GRIDS):
        sys.exit(f"names: {sys.argv[1:]}; allowed: all, {', '.join(GRIDS)}")
    failures = [f for name in names for f in record(GRIDS[name], RESULTS / f"{name}.jsonl")]
    sys.exit("\n".join(failures))
