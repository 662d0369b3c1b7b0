"""Presets of feature recovery on the same targets in one run; a row a target in
results/benchmark_attack.jsonl.

python benchmarks/attack.py targets --dataset photos --targets 16 --presets paper,fast,best
python benchmarks/attack.py targets --dataset imagefolder:PATH --name cifar10-jpeg --epochs 8
python benchmarks/attack.py targets --presets paper --iterations 10000 --restarts 5 --targets 2
python benchmarks/attack.py targets --presets fast --iterations 100 --tv 0.1
python benchmarks/attack.py step --dataset photos --epochs 1

Rows that are there already are kept and not run again.
"""

import json
import resource
import time
from dataclasses import replace
from functools import wraps
from pathlib import Path

import click
import torch

from uninv_lib import Spec, metrics, prepare
from uninv_lib.attacks import ATTACKS, baselines, recover_batch
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.memory import bytes_of
from uninv_lib.attacks.search.recovery import cost_and_parts
from uninv_lib.attacks.search.settings import Settings, changed
from uninv_lib.attacks.search.stacking import rows as rows_of
from uninv_lib.attacks.search.target import Targets, target_of
from uninv_lib.methods import applicable
from uninv_lib.models import logits
from uninv_lib.runs import RESULTS
from uninv_lib.scene import device_of
from uninv_lib.support.provenance import device_name, versions
from uninv_lib.training import evaluate
from uninv_lib.types import WhiteBoxView

FILE = RESULTS / "benchmark_attack.jsonl"
POINTS = 40  # of a curve
PRECISIONS = {"float32": "highest", "tfloat32": "high", "bfloat16": "medium"}


class Curve:
    """PSNR of every target against the seconds a target that it took."""

    def __init__(self, truth: torch.Tensor, steps: int) -> None:
        self.truth, self.every, self.seen, self.rows = truth, max(1, steps // POINTS), 0, []
        self.started = time.perf_counter()

    def __call__(self, stacked: torch.Tensor) -> None:
        self.seen += 1
        if self.seen % self.every == 0 and len(stacked) == len(self.truth):
            seconds = (time.perf_counter() - self.started) / len(self.truth)
            ratios = [
                metrics.psnr(metrics.match(x, t), t).mean().item()
                for x, t in zip(stacked, self.truth, strict=True)
            ]
            self.rows.append((seconds, ratios))

    def of(self, target: int) -> list[list[float]]:
        return [[round(seconds, 2), round(ratios[target], 2)] for seconds, ratios in self.rows]


def attack(scenes: list, preset: str, settings: dict, name: str, label: str) -> list[dict]:
    """A row for each scene: all are recovered as one batch."""
    views = [scene.white_box() for scene in scenes]
    if preset == "paper":
        views = [
            replace(view, labels=scene.forget.labels)
            for view, scene in zip(views, scenes, strict=True)
        ]
    rngs = [torch.Generator().manual_seed(scene.spec.request) for scene in scenes]
    curve = Curve(
        torch.stack([scene.forget.inputs for scene in scenes]), settings.get("iterations", 600)
    )
    found = recover_batch(views, rngs=rngs, attack=preset, progress=True, watch=curve, **settings)
    spec, net = scenes[0].spec, scenes[0].trained.net
    accuracy = evaluate(
        net, scenes[0].trained.state, scenes[0].dataset.test.to(scenes[0].forget.inputs)
    )
    rows = []
    for i, (scene, recovery) in enumerate(zip(scenes, found, strict=True)):
        truth = scene.forget.inputs
        pictures = metrics.match(recovery.inputs, truth)
        rows.append(
            {
                "dataset": name,
                "model": spec.model,
                "width": getattr(spec, "width", 16),
                "epochs": spec.epochs,
                "test_accuracy": round(accuracy, 4),
                "preset": label,
                "forgotten": len(truth),
                "target": spec.model_seed * 1000 + scene.spec.request,
                "psnr": round(metrics.psnr(pictures, truth).mean().item(), 3),
                "psnrs": [round(ratio, 3) for ratio in metrics.psnr(pictures, truth).tolist()],
                "psnr_class_mean": round(metrics.psnr(_class_mean(scene), truth).mean().item(), 3),
                "ssim": round(metrics.ssim(pictures, truth).mean().item(), 4),
                "label_accuracy": (
                    recovery.labels.sort().values == scene.forget.labels.sort().values
                )
                .double()
                .mean()
                .item(),
                "cost": round(recovery.loss.nan_to_num(torch.inf).min().item(), 5),
                "cost_of_truth": None
                if preset == "paper"
                else cost_of_truth(scene, changed(ATTACKS[preset].settings, settings)),
                "seconds": round(recovery.seconds, 2),
                "iterations": recovery.loss.shape[1],
                "certified": list(recovery.certified),
                "residuals": {n: float(f"{r:.3g}") for n, r in recovery.residuals.items()},
                "batch": len(scenes),
                "compiled": settings["compiled"],
                "threads": torch.get_num_threads(),
                "peak_mib": int(_peak_mib(scene)),
                "curve": curve.of(i),
                "device": device_name(device_of(spec.device)),
                "versions": versions(),
            }
        )
    return rows


def _class_mean(scene) -> torch.Tensor:
    """The null baseline that needs no model: the mean of the public samples of the true class."""
    return baselines.class_mean(scene.forget.labels, scene.dataset.public.to(scene.forget.inputs))


def _target(view: WhiteBoxView) -> Targets:
    return target_of(inspect_view(view), error_known=True)


def cost_of_truth(scene, settings: Settings) -> float | None:
    """What the forgotten sample itself costs: above it the search has failed, not the prior. None
    for several.
    """
    target = _target(scene.white_box())
    truth = scene.forget.inputs
    if len(truth) > 1:
        return None
    cost, _, _ = cost_and_parts(target, settings, truth, rows_of(target.goals, 0), [])
    return round(cost.item(), 5)


def _done(file: Path) -> set[tuple]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    keys = ("dataset", "model", "width", "epochs", "preset", "forgotten", "target", "device")
    return {tuple(json.loads(line)[key] for key in keys) for line in lines}


@click.group()
def main() -> None:
    """Measure the attacks."""


SHARED = [
    click.option("--dataset", default="photos", show_default=True),
    click.option("--name", help="what the rows call the data; without it, --dataset"),
    click.option("--model", default="convnet", show_default=True),
    click.option("--width", type=int, help="without it, 16; of resnet18, as published"),
    click.option("--epochs", type=int, help="of pretraining; without it, the budget's"),
    click.option("--forgotten", default=1, show_default=True, help="samples a request"),
    click.option("--threads", default=1, show_default=True),
    click.option("--device", default="auto", show_default=True),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="float32",
        show_default=True,
        help="of the products in matrices, where the device has them",
    ),
]


def shared(command):
    """A command with the options that all share: threads and precision are set, the fields of its
    Specs put together.
    """

    @wraps(command)
    def prepared(dataset, name, model, width, epochs, forgotten, threads, device, precision, **own):
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(PRECISIONS[precision])
        width = width or (64 if model == "resnet18" else 16)
        fields = {"dataset": dataset, "model": model, "width": width, "epochs": epochs}
        fields |= {"device": device, "forget_size": forgotten}
        command(name=name or dataset, fields=fields, precision=precision, **own)

    for option in reversed(SHARED):
        prepared = option(prepared)
    return prepared


def _scenes(requests: range, **fields) -> list:
    size = 32 if fields["forget_size"] == 1 else 64
    given = {"budget": "default", "private_size": size, **fields}
    spec = Spec(**applicable(given, quiet=["width"]))  # a linear net has none
    return [prepare(spec.but(request=request), progress=True) for request in requests]


def _settings(
    preset: str, iterations: int | None, restarts: int, tv: float | None
) -> tuple[dict, str]:
    """A preset's settings, and what its rows call it."""
    settings, label = {}, preset
    if preset == "paper":
        settings = {"iterations": iterations or 3000, "restarts": restarts}
        if (settings["iterations"], restarts) != (3000, 1):
            label += f", {settings['iterations']:,} x {restarts}"
    elif iterations:
        settings["iterations"], label = iterations, f"{label}, {iterations:,}"
    if tv is not None:
        settings["tv"], label = tv, f"{label}, tv {tv:g}"
    return settings, label


@main.command()
@shared
@click.option("--targets", default=16, show_default=True)
@click.option("--first", default=0, show_default=True, help="the first request")
@click.option("--batch", default=8, show_default=True, help="requests recovered together")
@click.option("--presets", default="paper,fast,best", show_default=True)
@click.option(
    "--iterations",
    type=int,
    help="without it 3000 of paper (published: 10000), the preset's own of others",
)
@click.option("--restarts", default=1, show_default=True, help="of paper; published: 5")
@click.option("--tv", type=float, help="weight of the total variation; without it the preset's own")
@click.option("--compiled", is_flag=True, help="by torch.compile")
@click.option("--out", type=click.Path(path_type=Path), default=FILE, show_default=True)
def targets(
    name,
    fields,
    precision,
    targets,
    first,
    batch,
    presets,
    iterations,
    restarts,
    tv,
    compiled,
    out,
):
    """Recover the same targets by each preset."""
    for preset in presets.split(","):
        settings, label = _settings(preset, iterations, restarts, tv)
        label += f", {precision}" * (precision != "float32")
        settings["compiled"] = compiled
        for start in range(first, first + targets, batch):
            requests = range(start, min(start + batch, first + targets))
            scenes = _scenes(requests, **fields)
            about = [fields[part] for part in ("model", "width", "epochs")]
            key = (name, *about, label, fields["forget_size"])
            done = _done(out)
            scenes = [
                s
                for s in scenes
                if (*key, s.spec.request, device_name(device_of(s.spec.device))) not in done
            ]
            if not scenes:
                continue
            rows = attack(scenes, preset, settings, name, label)
            with out.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            for row in rows:
                keys = ("preset", "target", "psnr", "ssim", "cost", "seconds")
                above = f"{row['psnr'] - row['psnr_class_mean']:+.1f} dB above the class mean:"
                print(above, *(f"{key} {row[key]}" for key in keys), flush=True)


@main.command()
@shared
@click.option(
    "--sizes", default="1,8,32,128", show_default=True, help="targets in one batch, ascending"
)
@click.option("--compiled", is_flag=True, help="by torch.compile")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=RESULTS / "benchmark_step.jsonl",
    show_default=True,
)
def step(name, fields, precision, sizes, compiled, out):
    """Seconds of one iteration a target over those of seven forward passes of one target, and the
    memory it takes.
    """
    for size in map(int, sizes.split(",")):
        scenes = _scenes(range(size), **fields)
        row = {
            "dataset": name,
            "model": fields["model"],
            "width": fields["width"],
            "targets": size,
            **_step(scenes, compiled),
        }
        row |= {
            "compiled": compiled,
            "precision": precision,
            "threads": torch.get_num_threads(),
            "device": device_name(device_of(scenes[0].spec.device)),
            "versions": versions(),
        }
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def _step(scenes: list, compiled: bool) -> dict:
    """One iteration on all scenes as one batch; the peak memory of the process, or of the graphics
    card, so far.
    """
    views = [scene.white_box() for scene in scenes]
    net, point, x = scenes[0].trained.net, scenes[0].trained.state, scenes[0].forget.inputs

    @torch.no_grad()
    def forward():
        logits(net, point, x)

    def search(iterations):
        rngs = [torch.Generator().manual_seed(0) for _ in views]
        words = {"kinds": ("plain",), "patience": None, "compiled": compiled, "memory": 1e15}
        recover_batch(views, rngs=rngs, iterations=iterations, **words)

    first = _timed(search, 2, repeats=1)
    one = _timed(forward, repeats=40)
    each = (_timed(search, 12, repeats=3) - _timed(search, 2, repeats=3)) / 10 / len(scenes)
    return {
        "forward_ms": round(1e3 * one, 3),
        "iteration_ms": round(1e3 * each, 3),
        "over_7_forwards": round(each / (7 * one), 3),
        "first_s": round(first, 2),
        "peak_mib": round(_peak_mib(scenes[0]), 1),
        "layers_mib": round(bytes_of(_target(views[0])) / 2**20, 3),
    }


def _timed(work, *arguments, repeats: int) -> float:
    """The median of its seconds."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work(*arguments)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2]


def _peak_mib(scene) -> float:
    """Of the graphics card where the work is there, else of the process, so far."""
    if device_of(scene.spec.device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
