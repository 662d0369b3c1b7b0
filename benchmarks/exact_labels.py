"""Measure what limits label inference after exact unlearning: python benchmarks/exact_labels.py;
exact_labels.jsonl.

The requests are those of `labels_scores_mlp` (sweeps). Beside the attack stand three oracles, which
know what no attacker does: all private samples, many trainings of both models, and an update
without nuisance.
"""

import json
from collections.abc import Iterator

import torch
from torch import Tensor

from uninv_lib import Spec, prepare
from uninv_lib.anatomy import anatomy_of
from uninv_lib.attacks.labels.answers import log_odds
from uninv_lib.experiment import probes_of
from uninv_lib.models import logits
from uninv_lib.runs import RESULTS, read
from uninv_lib.scene import Scene, rng_of
from uninv_lib.training import gradient, train
from uninv_lib.types import Split, State

REPEATS = 20
SPECS = [record.spec for record in read("labels_scores_mlp") if record.spec.unlearning == "retrain"]


def scores(scene: Scene, state: State) -> Tensor:
    """(classes,) mean log-odds of each class on its own probes."""
    probes = probes_of(scene)[0]
    answers = logits(scene.trained.net, state, probes.flatten(0, 1)).softmax(1)
    return log_odds(answers).unflatten(0, probes.shape[:2]).mean(1).diagonal().detach()


def trained_again(scene: Scene, split: Split) -> Tensor:
    """(classes,) scores, the mean over REPEATS trainings from θ_0 in other orders."""
    found = []
    for i in range(REPEATS):
        rng, trained = rng_of("exact_labels", scene.spec.seed, i), scene.trained
        state = train(trained, split, rng=rng)
        found.append(scores(scene, state))
    return torch.stack(found).mean(0)


def row(spec: Spec) -> dict[str, float | int]:
    scene = prepare(spec)
    trained, forget = scene.trained, scene.forget
    label = int(forget.labels[0])
    bias = anatomy_of(trained.net, scene.dataset.input_shape).head[1]
    parts = forget, scene.retain
    everyone = Split(
        torch.cat([part.inputs for part in parts]), torch.cat([part.labels for part in parts])
    )
    before, after, usual = (
        scores(scene, trained.state),
        scores(scene, scene.released),
        trained_again(scene, everyone),
    )
    slopes = gradient(trained.net, trained.pretrained, forget)
    rate = trained.lr / trained.batch_size * len(forget)
    clean = {
        name: t + rate * slopes[name] if name in slopes else t for name, t in trained.state.items()
    }
    confidence = logits(trained.net, trained.state, forget.inputs).softmax(1)[:, label].double()
    changes = {
        "right": after - before,
        "right_server": scene.released[bias] - trained.state[bias],
        "right_knowing_all": after - usual,
        "right_repeated": trained_again(scene, scene.retain) - usual,
        "right_clean": scores(scene, clean) - before,
    }
    return {
        "forget_share": spec.forget_share or 0,
        "seed": spec.seed,
        "request": spec.request,
        "label": label,
        "forgotten": len(forget),
        "surprise": float(f"{(1 - confidence).sum().item():.4g}"),
        **{name: int(change.argmin() == label) for name, change in changes.items()},
    }


def rows() -> Iterator[str]:
    for spec in SPECS:
        yield json.dumps(row(spec)) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    with (RESULTS / "exact_labels.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(rows())
