"""run(Spec) -> Record: the one place where the developer's side and the attackers' meet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from uninv_lib import metrics
from uninv_lib.anatomy import entered
from uninv_lib.attacks import baselines, infer_labels, make_probes, recover_features
from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.attacks.features import second_order
from uninv_lib.attacks.labels.answers import counts_of
from uninv_lib.attacks.labels.by_parameters import labels_of_parameters
from uninv_lib.attacks.labels.probes import Counted
from uninv_lib.attacks.search.update import NothingChanged
from uninv_lib.scene import Scene, device_of, prepare, rng_of
from uninv_lib.spec import Record, Spec
from uninv_lib.support.cache import code_digest, digest, kept
from uninv_lib.support.progress import Progress
from uninv_lib.support.provenance import commit, device_name, versions
from uninv_lib.training import evaluate, gradient
from uninv_lib.types import Reconstruction, WhiteBoxView

RECOVERY: dict[str, dict[str, dict[str, int]]] = {
    "smoke": {
        "fast": {"iterations": 20},
        "best": {"iterations": 20},
        "paper": {"iterations": 20, "restarts": 1},
        "second_order": {"iterations": 20},
    },
    "quick": {
        "fast": {"iterations": 100},
        "best": {"iterations": 200},
        "paper": {"iterations": 100, "restarts": 1},
    },
    "default": {"fast": {}, "best": {}, "paper": {"iterations": 300, "restarts": 1}},
    "full": {
        "fast": {"iterations": 1000, "restarts": 6},
        "best": {"iterations": 2000, "restarts": 6},
        "paper": {},
    },
}
"""Settings of each preset by budget; "analytic" has none."""
Watch = Callable[[int, Tensor], None]
"""Sees (step, inputs) of a feature recovery."""
PROBES = {"smoke": 2, "quick": 10, "default": 10, "full": 20}
"""Probes a class by budget; of public samples, which cost nothing to make, as many as there are."""


def utility(scene: Scene) -> dict[str, float]:
    """Accuracies of the models before, after unlearning, and released (after the defense), each in
    [0, 1].
    """
    net, test = scene.trained.net, scene.dataset.test.to(scene.forget.inputs)
    found = {}
    for name, state in (
        ("before", scene.trained.state),
        ("after", scene.unlearned),
        ("released", scene.released),
    ):
        for part, split in (
            ("test", test),
            ("retained", scene.retain),
            ("forgotten", scene.forget),
        ):
            if len(split) and (name != "after" or scene.released is not scene.unlearned):
                found[f"{part}_accuracy_{name}"] = evaluate(net, state, split)
    return found


def _image_metrics(name: str, inputs: Tensor, truth: Tensor) -> dict[str, float]:
    matched = metrics.match(inputs, truth)
    ratios = metrics.psnr(matched, truth)
    found = {
        f"psnr{name}": ratios.mean().item(),
        f"mse{name}": metrics.mse(matched, truth).mean().item(),
    }
    if len(truth) > 1:
        found |= {f"psnr{name}_{i}": ratio for i, ratio in enumerate(ratios.tolist())}
    if truth.ndim == 4 and min(truth.shape[-2:]) >= 7:
        found[f"ssim{name}"] = metrics.ssim(matched, truth).mean().item()
    return found


def recover_or_grey(view: WhiteBoxView, *, rng: torch.Generator, **options: Any) -> Reconstruction:
    """`recover_features`; where the update was lost in rounding, a result and no failure, grey with
    the labels −1.

    Raises what else `recover_features` raises.
    """
    try:
        return recover_features(view, rng=rng, **options)
    except NothingChanged:
        like = next(iter(view.net.parameters()))
        grey = torch.full((view.num_forgotten, *view.input_shape), 0.5).to(like)
        unknown = torch.full((view.num_forgotten,), -1, device=like.device)
        return Reconstruction(grey, unknown, torch.ones(1, 1), 0.0)


def _settings(spec: Spec) -> dict[str, Any]:
    return {"preset": spec.preset, **RECOVERY[spec.budget].get(spec.preset, {})}


def knowing(scene: Scene, *, progress: Progress = False) -> Reconstruction:
    """What the attacker of a Record's adaptive metrics finds, who knows of the scene's defense; one
    of ADAPTIVE.
    """
    spec = scene.spec
    view, rng = ADAPTIVE[spec.defense](scene.white_box()), rng_of("attack", spec.seed, spec.request)
    return recover_or_grey(view, rng=rng, progress=progress, **_settings(spec))


def _features(scene: Scene, progress: Progress, watch: Watch | None) -> dict[str, float]:
    """Feature recovery and its null baselines, each held against the truth."""
    spec, truth = scene.spec, scene.forget.inputs
    rng = rng_of("attack", spec.seed, spec.request)
    found = recover_or_grey(
        scene.white_box(), rng=rng, callback=watch, progress=progress, **_settings(spec)
    )
    if watch is not None:
        watch(-1, found.inputs)
    public, view = scene.dataset.public.to(truth), scene.black_box()
    null = {
        "_random": baselines.random_image(len(truth), truth.shape[1:], rng=rng).to(truth),
        "_class_mean": baselines.class_mean(found.labels, public),
        "_max_diff": baselines.max_diff(view, public, len(truth)),
    }
    measured = _image_metrics("", found.inputs, truth)
    for name, inputs in null.items():
        measured |= _image_metrics(name, inputs, truth)
    if spec.defense in ADAPTIVE:
        again = knowing(scene, progress=progress)
        measured |= _image_metrics("_adaptive", again.inputs, truth)
        measured["label_accuracy_adaptive"] = _same_labels(again.labels, scene.forget.labels)
    with torch.no_grad():
        confidence = view.before(truth).gather(1, scene.forget.labels[:, None]).mean().item()
    before, after = scene.trained.state, scene.released
    exact = gradient(scene.trained.net, before, scene.forget)
    changes = torch.cat([(after[name] - before[name]).flatten() for name in exact])
    if spec.preset == "second_order" and (found.labels >= 0).all():
        measured |= _second_order(scene)
    return (
        metrics.gains(measured)
        | measured
        | {
            "label_accuracy": _same_labels(found.labels, scene.forget.labels),
            "forgotten_label": float(scene.forget.labels[0]),
            "inferred_label": float(found.labels[0]),
            "something_changed": float((found.labels >= 0).all()),
            "forgotten_confidence": confidence,
            "update_cosine": cosine_similarity(
                changes, torch.cat([g.flatten() for g in exact.values()]), dim=0
            ).item(),
            "cost": torch.nan_to_num(found.loss, nan=torch.inf).min().item(),
        }
    )


def _same_labels(labels: Tensor, true: Tensor) -> float:
    return (labels.cpu().sort().values == true.cpu().sort().values).double().mean().item()


def _second_order(scene: Scene) -> dict[str, float]:
    """The last layer's features as found with the curvature, and without it: cosine with the true
    ones, labels.
    """
    view, found = scene.white_box(), {}
    true = entered(view.net, view.before, scene.forget.inputs)[:, :-1]
    for name, known in (("", view), ("_first_order", second_order.first_order(view))):
        last = second_order.last_features(known)
        cosines = cosine_similarity(metrics.match(last.features, true), true)
        found[f"feature_cosine{name}"] = cosines.mean().item()
        found[f"label_accuracy{name}"] = _same_labels(last.labels, scene.forget.labels)
    if second_order.is_linear(view.net):
        inputs = second_order.recover(known, rng=rng_of("attack", scene.spec.seed)).inputs
        found |= _image_metrics("_first_order", inputs, scene.forget.inputs)
    return found


def _by_parameters(scene: Scene, right: Callable[[Tensor], float]) -> dict[str, float]:
    """Label inference by the last layer's parameters: by its bias, and with public data by what it
    does to them.
    """
    view, found = scene.white_box(), {}
    scores = (
        {"": "bias"}
        if view.public is None
        else {"": "bias", "_logit": "logit", "_curvature": "curvature"}
    )
    for name, score in scores.items():
        try:
            found[f"label_accuracy_server{name}"] = right(
                labels_of_parameters(view, score=score).ranked
            )
        except NothingChanged:  # any class is as good as another
            found[f"label_accuracy_server{name}"] = right(torch.arange(scene.dataset.num_classes))
    return found


def probes_of(scene: Scene, *, progress: Progress = False) -> tuple[Tensor, int]:
    """(probes, answers asked for them). Made of the model before, so kept on disk for all requests
    under it.
    """
    spec, view, public = scene.spec, scene.black_box(), scene.dataset.public.inputs
    asked = Counted(view.before)

    def compute() -> dict[str, Tensor]:
        probes = make_probes(
            asked,
            view.num_classes,
            view.input_shape,
            rng=rng_of("probes", spec.seed),
            method=spec.probes,
            count=len(public) if spec.probes == "public" else PROBES[spec.budget],
            like=scene.forget.inputs,
            public=public,
            progress=progress,
        )
        return {"probes": probes, "queries": torch.tensor(asked.queries)}

    key = digest(
        code_digest(),
        spec.probes,
        spec.answers,
        spec.budget,
        spec.seed,
        *scene.trained.state.values(),
    )
    found = kept("probes", key, compute)
    return found["probes"].to(scene.forget.inputs), int(found["queries"])


def _labels(scene: Scene, progress: Progress, watch: Watch | None) -> dict[str, float]:  # noqa: ARG001
    """Label inference: is the forgotten class the first of the ranking, and the share of it when
    several are.
    """
    probes, queries = probes_of(scene, progress=progress)
    view, name = scene.black_box(), scene.spec.score
    scores = infer_labels(view, probes, score=name)
    true, total = scene.forget.labels.unique(), len(scene.forget)

    def right(ranked: Tensor) -> float:
        return torch.isin(ranked[: len(true)], true).double().mean().item()

    fewer = [m for m in (1, 2, 5, 10, 20, 40) if m < probes.shape[1]]
    counts = torch.bincount(scene.forget.labels, minlength=view.num_classes)
    return {
        "label_accuracy": right(scores.ranked),
        **{
            f"label_accuracy_{m}": right(infer_labels(view, probes[:, :m], score=name).ranked)
            for m in fewer
        },
        **_by_parameters(scene, right),
        "count_error": (counts_of(scores.change.cpu(), total) - counts.cpu()).abs().sum().item()
        / (2 * total),
        "forgotten_label": float(scene.forget.labels[0]),
        "inferred_label": float(scores.ranked[0]),
        "rank": 1.0 + (scores.ranked == scene.forget.labels[0]).nonzero().item(),
        "change_of_forgotten": scores.change[true].mean().item(),
        "chance": len(true) / scene.dataset.num_classes,
        "forgotten": float(len(scene.forget)),
        "queries_probes": float(queries),
        "queries_scores": float(scores.queries),
        **{f"change_{label}": change for label, change in enumerate(scores.change.tolist())},
    }


def run(spec: Spec, *, progress: Progress = False, watch: Watch | None = None) -> Record:
    """One Spec, from pretraining to the attack's metrics.

    Metrics of feature recovery: gain (dB, what psnr is above that of the best null baseline; a leak
    is what lies above 0), psnr (dB, peak 1), mse, ssim, mean over the forgotten samples after
    matching (gain_0, psnr_0, psnr_1, ... of each where there are several), and the same with a
    suffix for each null baseline (_random, _class_mean, _max_diff) and for the attacker who knows
    of the defense, where one is known (_adaptive); something_changed is 0 where the update was lost
    in rounding, and the recovered picture grey; update_cosine is the cosine of the update and the
    forgotten samples' gradient, 1 where unlearning shows nothing else; of preset "second_order"
    also feature_cosine, of the last layer's features found and true, and psnr, label_accuracy and
    feature_cosine of the same without curvature (_first_order); of label inference: label_accuracy
    (with all probes; _1, _2, _5, ... with so many a class; _server by the last bias, and with
    public data by `labels_of_parameters`, _server_logit and _server_curvature), count_error (share
    of the forgotten samples put in a wrong class, their number known), rank, queries, change_0,
    change_1, ... of each class's score; of both: forgotten_label and inferred_label (of the first
    sample), accuracies of the models. `watch` sees the recovered pictures as they emerge and the
    recovery itself last. Raises what `prepare` and the attacks raise.
    """
    started = time.perf_counter()
    scene = prepare(spec, progress=progress)
    prepared = time.perf_counter()
    attack = {"features": _features, "labels": _labels}[spec.attack]
    found = attack(scene, progress, watch)
    attacked = time.perf_counter()
    found |= utility(scene)
    seconds = {
        "prepare": prepared - started,
        "attack": attacked - prepared,
        "utility": time.perf_counter() - attacked,
    }
    return Record(
        spec=spec,
        metrics=found,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        versions=versions(),
        commit=commit(),
        device=device_name(device_of(spec)),
    )
