"""run(Spec) -> Record: the one place where the developer's side and the attackers' meet."""

from __future__ import annotations

import platform
import subprocess
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uninv_lib import metrics
from uninv_lib.attacks import baselines, infer_labels, make_probes, recover_features
from uninv_lib.attacks.probes import Counted
from uninv_lib.attacks.update import NothingChanged
from uninv_lib.cache import code_digest, digest, kept
from uninv_lib.data import load
from uninv_lib.defenses import DEFENSES
from uninv_lib.models import build, predictor
from uninv_lib.training import evaluate, fine_tune, fit
from uninv_lib.types import BlackBoxView, Dataset, Reconstruction, Record, Spec, Split, State, Trained, WhiteBoxView
from uninv_lib.unlearning import UNLEARNING

EPOCHS = {"smoke": 2, "default": 12, "full": 120}
RECOVERY: dict[str, dict[str, dict[str, int]]] = {
    "smoke": {"fast": {"iterations": 20}, "paper": {"iterations": 20, "restarts": 1}},
    "default": {"fast": {}, "paper": {"iterations": 300, "restarts": 1}},
    "full": {"fast": {"iterations": 1000, "restarts": 6}, "paper": {}},
}
PROBES = {"smoke": 2, "default": 10, "full": 20}


@dataclass(frozen=True)
class Scene:
    """Both sides of one run before the attack: what the developer knows, and the views that the attackers get."""

    spec: Spec
    dataset: Dataset
    trained: Trained
    forget: Split
    retain: Split
    unlearned: State
    released: State

    def white_box(self) -> WhiteBoxView:
        """The server's view, with the assumptions of `spec.knowledge`."""
        known = self.spec.knowledge
        return WhiteBoxView(
            self.trained.net,
            self.trained.state,
            self.released,
            self.dataset.input_shape,
            len(self.forget),
            labels=self.forget.labels if "labels" in known else None,
            pretrained=self.trained.pretrained if "pretrained" in known else None,
            private_size=len(self.forget) + len(self.retain) if "private_size" in known else None,
        )

    def black_box(self) -> BlackBoxView:
        """The user's view."""
        before, after = (predictor(self.trained.net, s) for s in (self.trained.state, self.released))
        return BlackBoxView(before, after, self.dataset.num_classes, self.dataset.input_shape)


def device_of(spec: Spec) -> torch.device:
    """The device asked for; "auto" takes CUDA, then MPS, then CPU. Raises ValueError where it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(d for d in there if there[d]) if spec.device == "auto" else spec.device
    if not there[name]:
        raise ValueError(
            f"device: {name!r} is not on this machine; allowed: auto, {', '.join(d for d in there if there[d])}"
        )
    if name == "mps" and spec.dtype == "float64":
        raise ValueError("dtype: 'float64' on mps; allowed: float32, or device='cpu'")
    return torch.device(name)


def _rng(*parts: int | str) -> torch.Generator:
    """A generator of its own for each purpose, so that no stage shifts another's draws."""
    return torch.Generator().manual_seed(int(digest(*parts), 16) % 2**63)


def pretrain(spec: Spec, *, progress: bool = False) -> tuple[torch.nn.Module, State]:
    """The net and θ_0, trained on the public samples; kept on disk by what they depend on."""
    dataset = load(spec.dataset)
    net = build(spec.model, dataset, width=spec.width, seed=spec.model_seed)
    device, like = device_of(spec), torch.zeros(0, dtype=getattr(torch, spec.dtype))
    public, epochs = dataset.public, EPOCHS[spec.budget] * (1 if len(dataset.public) >= 1000 else 3)
    # Published: lr 0.1 and batch 128, for 40,000 samples; small sets need more steps an epoch (ours).
    lr, batch_size = (0.1, 128) if len(public) >= 10_000 else (0.05, 32) if len(public) >= 500 else (0.05, 16)
    fields = [spec.dataset, spec.model, spec.width, spec.model_seed, epochs, lr, batch_size, device.type]
    fields.append(torch.get_num_threads())  # sums in another order give another model after enough steps

    def compute() -> dict[str, Tensor]:
        return dict(
            fit(
                net.to(device),
                public.to(public.inputs.to(device)),
                rng=_rng("pretrain", spec.model_seed),
                epochs=epochs,
                lr=lr,
                batch_size=batch_size,
                augment=dataset.kind == "image",
                flip=spec.dataset != "digits",
                progress=progress,
            )
        )

    key = digest(code_digest(), fields, public.inputs, public.labels)
    like = like.to(device)
    state = {
        n: t.to(like) if t.is_floating_point() else t.to(device) for n, t in kept("pretrained", key, compute).items()
    }
    return net.to(like), state


def choose(spec: Spec, private: Split) -> tuple[Split, Split]:
    """(forget, retain) for this deletion request: forget_size samples, or a share of one random class's samples.

    Requests 0, 1, 2, ... take the private samples in turn, so that they are different people as long as there are.
    """
    if spec.forget_share is None:
        order = torch.randperm(len(private), generator=_rng("people", spec.seed)).roll(-spec.request * spec.forget_size)
        return private.take(order[: spec.forget_size]), private.take(order[spec.forget_size :])
    rng = _rng("request", spec.seed, spec.request)
    present = private.labels.unique()
    label = present[torch.randint(len(present), (1,), generator=rng)]
    own = (private.labels == label).nonzero()[:, 0]
    own = own[torch.randperm(len(own), generator=rng)][: max(1, round(spec.forget_share * len(own)))]
    rest = torch.ones(len(private), dtype=torch.bool).index_fill(0, own, False).nonzero()[:, 0]
    return private.take(own), private.take(rest)


def prepare(spec: Spec, *, progress: bool = False) -> Scene:
    """Everything up to the attack: pretrain, fine-tune on the private samples, unlearn the request, defend.

    Raises ValueError where the data set has fewer private samples than private_size, FloatingPointError where
    unlearning diverges.
    """
    dataset = load(spec.dataset)
    if spec.private_size > len(dataset.private):
        raise ValueError(f"private_size: {spec.private_size}; allowed for {spec.dataset}: 1 to {len(dataset.private)}")
    net, pretrained = pretrain(spec, progress=progress)
    like = next(iter(net.parameters())).detach()
    drawn = torch.randperm(len(dataset.private), generator=_rng("private", spec.seed))[: spec.private_size]
    private = dataset.private.take(drawn)
    forget, retain = (part.to(like) for part in choose(spec, private))
    recipe = Trained(net, pretrained, {}, lr=1e-3, epochs=1, batch_size=128, seed=spec.seed)
    state = fine_tune(
        net,
        pretrained,
        private.to(like),
        rng=_rng("fine_tune", spec.seed),
        lr=recipe.lr,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
    )
    trained = Trained(net, pretrained, state, recipe.lr, recipe.epochs, recipe.batch_size, recipe.seed)
    options: dict[str, Any] = {"unlearning_rate": spec.unlearning_rate, "unlearning_steps": spec.unlearning_steps}
    rng = _rng("unlearn", spec.seed, spec.request)
    unlearned = UNLEARNING[spec.unlearning](trained, forget, retain, rng=rng, **options)
    released = unlearned
    if spec.defense != "none":
        rng = _rng("defend", spec.seed, spec.request)
        released = DEFENSES[spec.defense](unlearned, trained, retain, rng=rng, strength=spec.strength)
    return Scene(spec, dataset, trained, forget, retain, unlearned, released)


def utility(scene: Scene) -> dict[str, float]:
    """Accuracies of the models before, after unlearning, and released (after the defense), each in [0, 1]."""
    net, test = scene.trained.net, scene.dataset.test.to(scene.forget.inputs)
    found = {}
    for name, state in (
        ("before", scene.trained.state),
        ("after", scene.unlearned),
        ("released", scene.released),
    ):
        for part, split in (("test", test), ("retained", scene.retain), ("forgotten", scene.forget)):
            if len(split) and (name != "after" or scene.released is not scene.unlearned):
                found[f"{part}_accuracy_{name}"] = evaluate(net, state, split)
    return found


def _image_metrics(name: str, inputs: Tensor, truth: Tensor) -> dict[str, float]:
    matched = metrics.match(inputs, truth)
    found = {
        f"psnr{name}": metrics.psnr(matched, truth).mean().item(),
        f"mse{name}": metrics.mse(matched, truth).mean().item(),
    }
    if truth.ndim == 4 and min(truth.shape[-2:]) >= 7:
        found[f"ssim{name}"] = metrics.ssim(matched, truth).mean().item()
    return found


def _features(scene: Scene, progress: bool) -> dict[str, float]:
    """Feature recovery and its null baselines, each held against the truth."""
    spec, truth = scene.spec, scene.forget.inputs
    rng = _rng("attack", spec.seed, spec.request)
    settings: dict[str, Any] = RECOVERY[spec.budget][spec.preset]
    try:
        found = recover_features(scene.white_box(), rng=rng, preset=spec.preset, progress=progress, **settings)
    except NothingChanged:  # a result, not a failure: the attacker answers with grey
        grey, unknown = torch.full_like(truth, 0.5), torch.full_like(scene.forget.labels, -1)
        found = Reconstruction(grey, unknown, torch.ones(1, 1), 0.0)
    public = scene.dataset.public.to(truth)
    null = {
        "_random": baselines.random_image(len(truth), truth.shape[1:], rng=rng).to(truth),
        "_class_mean": baselines.class_mean(found.labels, public),
        "_max_diff": baselines.max_diff(scene.black_box(), public, len(truth)),
    }
    measured = _image_metrics("", found.inputs, truth)
    for name, inputs in null.items():
        measured |= _image_metrics(name, inputs, truth)
    with torch.no_grad():
        confidence = scene.black_box().before(truth).gather(1, scene.forget.labels[:, None]).mean().item()
    right = (found.labels.cpu().sort().values == scene.forget.labels.cpu().sort().values).double().mean().item()
    return measured | {
        "label_accuracy": right,
        "something_changed": float((found.labels >= 0).all()),
        "forgotten_confidence": confidence,
        "cost": torch.nan_to_num(found.loss, nan=torch.inf).min().item(),
    }


def probes_of(scene: Scene, *, progress: bool = False) -> tuple[Tensor, int]:
    """(probes, answers asked for them). Made of the model before, so kept on disk for all requests under it."""
    spec, view = scene.spec, scene.black_box()
    asked = Counted(view.before)

    def compute() -> dict[str, Tensor]:
        probes = make_probes(
            asked,
            view.num_classes,
            view.input_shape,
            rng=_rng("probes", spec.seed),
            method=spec.probes,
            count=PROBES[spec.budget],
            like=scene.forget.inputs,
            progress=progress,
        )
        return {"probes": probes, "queries": torch.tensor(asked.queries)}

    key = digest(code_digest(), spec.probes, spec.budget, spec.seed, *scene.trained.state.values())
    found = kept("probes", key, compute)
    return found["probes"].to(scene.forget.inputs), int(found["queries"])


def _labels(scene: Scene, progress: bool) -> dict[str, float]:
    """Label inference: is the forgotten class the first of the ranking, and the share of it when several are."""
    probes, queries = probes_of(scene, progress=progress)
    scores = infer_labels(scene.black_box(), probes)
    true = scene.forget.labels.unique()
    named = scores.ranked[: len(true)]
    return {
        "label_accuracy": torch.isin(named, true).double().mean().item(),
        "rank": 1.0 + (scores.ranked == scene.forget.labels[0]).nonzero().item(),
        "change_of_forgotten": scores.change[true].mean().item(),
        "chance": len(true) / scene.dataset.num_classes,
        "forgotten": float(len(scene.forget)),
        "queries_probes": float(queries),
        "queries_scores": float(scores.queries),
    }


def run(spec: Spec, *, progress: bool = False) -> Record:
    """One Spec, from pretraining to the attack's metrics.

    Metrics of feature recovery: psnr (dB, peak 1), mse, ssim, mean over the forgotten samples after matching, and
    the same with a suffix for each null baseline (_random, _class_mean, _max_diff); something_changed is 0 where the
    update was lost in rounding, and the recovered picture grey; of label inference:
    label_accuracy, rank, queries; of both: accuracies of the models. Raises what `prepare` and the attacks raise.
    """
    started = time.perf_counter()
    scene = prepare(spec, progress=progress)
    prepared = time.perf_counter()
    attack = {"features": _features, "labels": _labels}[spec.attack]
    found = attack(scene, progress)
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
        versions=_versions(),
        commit=_commit(),
        device=_device_name(device_of(spec)),
    )


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("uninv-lib", "torch", "numpy", "scikit-learn", "scikit-image"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


@lru_cache(maxsize=1)
def _commit() -> str | None:
    """The checkout's commit, with a plus where files changed since; None outside a checkout."""
    folder, words = Path(__file__).parent, {"capture_output": True, "text": True}
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, **words)  # type: ignore[call-overload]
        dirty = subprocess.run(["git", "status", "--porcelain", "."], cwd=folder, **words)  # type: ignore[call-overload]
    except OSError:
        return None
    return f"{head.stdout.strip()[:12]}{'+' if dirty.stdout.strip() else ''}" if head.returncode == 0 else None


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
