"""Metrics of feature recovery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from uninv_lib import metrics
from uninv_lib.anatomy import entered
from uninv_lib.measure.outcome import Outcome, Values
from uninv_lib.training import gradient

NULLS = ("random", "class_mean", "max_diff")
"""The null baselines: what an attacker has without an attack."""


def psnr(outcome: Outcome) -> Values:
    truth = outcome.scene.forget.inputs
    ratios = {name: metrics.psnr(x, truth) for name, x in outcome.pictures.items()}
    found = {name: each.mean().item() for name, each in ratios.items()}
    if len(truth) > 1:
        for name, each in ratios.items():
            found |= {f"{name}_{i}": ratio for i, ratio in enumerate(each.tolist())}
    return found


def gain(outcome: Outcome) -> Values:
    return gains({f"psnr{name}": value for name, value in psnr(outcome).items()}, "")


def gains(found: Mapping[str, float], prefix: str = "gain") -> dict[str, float]:
    """How far the recovery is above the best null baseline, in dB: gain, gain_0, gain_1, ... of
    each of several samples, and gain_adaptive; by the psnr, psnr_random, psnr_0, psnr_random_0, ...
    of a Record.

    Below 0 nothing has leaked. Who knows of decoys recovers more than were forgotten, of which the
    nearest count: against null baselines with as many guesses, psnr_random_adaptive and so on.
    """
    samples = ["", *(f"_{i}" for i in range(len(found)) if f"psnr_{i}" in found)]
    kinds = [kind for kind in ("", "_adaptive") if f"psnr{kind}" in found]

    def best(kind: str, name: str) -> float:
        same = kind if f"psnr_{NULLS[0]}{kind}" in found else ""
        return max(found[f"psnr_{null}{same}{name}"] for null in NULLS)

    return {
        f"{prefix}{kind}{name}": found[f"psnr{kind}{name}"] - best(kind, name)
        for kind in kinds
        for name in samples
    }


def mse(outcome: Outcome) -> Values:
    return outcome.of_pictures(metrics.mse)


def ssim(outcome: Outcome) -> Values:
    truth = outcome.scene.forget.inputs
    large = truth.ndim == 4 and min(truth.shape[-2:]) >= metrics.SSIM_WINDOW
    return outcome.of_pictures(metrics.ssim) if large else {}


def recovered_labels(outcome: Outcome) -> Values:
    found = {"": outcome.picture.labels}
    if outcome.knowing is not None:
        found["_adaptive"] = outcome.knowing.labels
    if "_first_order" in outcome.orders:
        found["_first_order"] = outcome.orders["_first_order"].labels
    true = outcome.scene.forget.labels.cpu()
    return {name: shared(labels.cpu(), true) for name, labels in found.items()}


def shared(found: Tensor, true: Tensor) -> float:
    """The share of true labels that are among the found ones, each of which counts once; −1 is
    none.
    """
    common = Counter(found.tolist()) & Counter(true.tolist())
    return sum(common.values()) / len(true)


def recovered_label(outcome: Outcome) -> Values:
    found = {"": float(outcome.picture.labels[0])}
    if outcome.knowing is not None:
        order = metrics.order(outcome.knowing.inputs, outcome.scene.forget.inputs)
        found["_adaptive"] = float(outcome.knowing.labels.to(order.device)[order[0]])
    return found


def residual(outcome: Outcome) -> Values:
    return {f"_{name}": left for name, left in outcome.picture.residuals.items()}


def certified(outcome: Outcome) -> Values:
    found = outcome.picture
    return {f"_{name}": float(name in found.certified) for name in found.residuals}


def something_changed(outcome: Outcome) -> Values:
    return {"": float(outcome.changed)}


@torch.no_grad()
def forgotten_confidence(outcome: Outcome) -> Values:
    forget = outcome.scene.forget
    answers = outcome.scene.black_box().before(forget.inputs)
    return {"": answers.gather(1, forget.labels[:, None]).mean().item()}


def update_cosine(outcome: Outcome) -> Values:
    view = outcome.scene.white_box()
    exact = gradient(view.net, view.before, outcome.scene.forget)
    changes = torch.cat([(view.after[name] - view.before[name]).flatten() for name in exact])
    slopes = torch.cat([slope.flatten() for slope in exact.values()])
    return {"": cosine_similarity(changes, slopes, dim=0).item()}


def cost(outcome: Outcome) -> Values:
    return {"": torch.nan_to_num(outcome.picture.loss, nan=torch.inf).min().item()}


def feature_cosine(outcome: Outcome) -> Values:
    scene = outcome.scene
    if not outcome.orders:
        return {}
    before = scene.white_box().before
    true = entered(outcome.anatomy, before, scene.forget.inputs)[:, :-1]
    return {
        name: cosine_similarity(metrics.match(last.features, true), true).mean().item()
        for name, last in outcome.orders.items()
    }
