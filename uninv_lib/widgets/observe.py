"""A run with its pictures: what the recovery explorer and the defense lab show of a Spec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from uninv_lib import metrics
from uninv_lib.attacks.search.costs import cosine_cost, total_variation
from uninv_lib.attacks.search.update import difference
from uninv_lib.experiment import KNOWING, run
from uninv_lib.scene import Scene, prepare
from uninv_lib.spec import Spec
from uninv_lib.training import gradient
from uninv_lib.types import Split
from uninv_lib.widgets.base import Live

FRAMES = 24


@dataclass(frozen=True)
class Observed:
    """metrics: of the Record; truth: (K, *input_shape); frames: (n, K, *input_shape), the recovered
    pictures at these `steps` in the order of the truth, the recovery itself last; curves: (n,)
    each, of PSNR (dB), total variation, and the cosine between the update and the gradient that the
    frame would cause with the true labels; known: what who knows of the defense found, where one
    does.
    """

    metrics: dict[str, float]
    truth: Tensor
    frames: Tensor
    steps: list[int]
    curves: dict[str, list[float]]
    known: Tensor | None = None


def _chosen(count: int) -> list[int]:
    """At most FRAMES of `count` positions: dense at first, where the picture changes most, and the
    last.
    """
    return sorted({round(i) for i in np.geomspace(1, count, FRAMES)}) if count else []


def _curves(scene: Scene, frames: Tensor) -> dict[str, list[float]]:
    net, before, truth = scene.trained.net, scene.trained.state, scene.forget
    update = list(difference(net, before, scene.released).values())
    found: dict[str, list[float]] = {"psnr": [], "cosine": [], "tv": []}
    for frame in frames:
        slopes = gradient(net, before, Split(frame, truth.labels))
        found["psnr"].append(metrics.psnr(frame, truth.inputs).mean().item())
        found["cosine"].append(1 - cosine_cost(list(slopes.values()), update).item())
        found["tv"].append(total_variation(frame).mean().item())
    return found


def people(spec: Spec) -> list[int]:
    """The class of each private sample, in the order in which requests forget them."""
    scene = prepare(spec.but(request=0))
    return [*scene.forget.labels.tolist(), *scene.retain.labels.tolist()]


def observe(spec: Spec, *, live: Live = run) -> Observed:
    """Run the Spec and keep what it looked like. Raises what `live` raises."""
    seen: list[Tensor] = []
    known: list[Tensor] = []

    def watch(step: int, inputs: Tensor) -> None:
        (known if step == KNOWING else seen).append(inputs.detach().clone())

    record = live(spec, watch=watch)
    scene = prepare(spec)
    steps = [0, *_chosen(len(seen) - 1)] if len(seen) > 1 else [0]
    truth = scene.forget.inputs
    frames = torch.stack([metrics.match(seen[i], truth) for i in steps])
    last = known[-1] if known else None
    return Observed(record.metrics, truth, frames, steps, _curves(scene, frames), last)
