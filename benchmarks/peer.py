"""Our attack `inner_maps` beside those of the package `breaching` on the same requests, in equal
processor time on one thread; a row an attack and request in results/benchmark_peer.jsonl.

python benchmarks/peer.py --requests 16 [--first N] [--seed N] [--peers NAME,NAME]
python benchmarks/peer.py [...] --own-iterations | --normalised

The peer has the model before, in eval(); the difference of the models over the rate of the ascent,
which is the gradient that its own user sends; and the true label (`told`), which ours has not. Its
settings are its own by name and version, one restart, but for the number of iterations, and with
--own-iterations that, too. It searches pictures in [0, 1], as our nets take them; with --normalised
what their first layer makes of them, told its mean and deviation, as with its own data. `loss`: its
first, its lowest, and the truth's: a lowest above that is a search that has failed, one below it a
loss that prefers another picture. Rows that are there already are kept and not run again.
"""

import copy
import json
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import torch

from uninv_lib import Spec, prepare
from uninv_lib.attacks.search.update import difference
from uninv_lib.experiment import attack
from uninv_lib.measure import Outcome, measure
from uninv_lib.measure.features import NULLS
from uninv_lib.results import RESULTS
from uninv_lib.scene import Scene, rng_of
from uninv_lib.support.provenance import COMPUTING, versions
from uninv_lib.support.torchvision import import_torchvision
from uninv_lib.types import Reconstruction

FILE = RESULTS / "benchmark_peer.jsonl"
Row = dict[str, Any]
NET: Row = {"dataset": "photos", "model": "convnet", "width": 16}
KEY = ("attack", "time", "inputs", *NET, "model_seed", "request")


def package() -> ModuleType:
    try:
        import_torchvision()  # with its remedy, before breaching imports it without
        return import_module("breaching")
    except ModuleNotFoundError as error:
        raise click.UsageError(f"no module {error.name}: pip install breaching==0.1.2") from error


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What the work gives, and its seconds, by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    given = work()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return given, {"seconds": round(clock, 2), "processor_s": round(processor, 2)}


class Peer:
    """An attack of breaching on a scene."""

    def __init__(self, breaching: ModuleType, name: str, scene: Scene, normalised: bool) -> None:
        self.breaching, self.name, self.scene, view = breaching, name, scene, scene.white_box()
        net: Any = copy.deepcopy(view.net)
        net.load_state_dict(view.before)
        self.net, self.mean, self.std = net[1:], net[0].mean, net[0].std
        if not normalised:
            self.net, self.mean, self.std = net, 0 * self.mean, torch.ones_like(self.std)
        scale = {"mean": self.mean.flatten(), "std": self.std.flatten()}
        about = SimpleNamespace(shape=view.input_shape, modality="vision", **scale)
        weights, buffers = list(self.net.parameters()), list(self.net.buffers())
        given = {"parameters": weights, "buffers": buffers, "metadata": about}
        update, rate = difference(view.net, view.before, view.after), scene.spec.unlearning_rate
        gradients = [change / rate for change in update.values()]  # no sign: unlearning ascends
        told = {"num_data_points": 1, "labels": scene.forget.labels, "local_hyperparams": None}
        sent = {"gradients": gradients, "buffers": None, "metadata": told}
        self.seen: tuple[list[Row], list[Row], Row] = [given], [sent], {}

    def search(self, most: int | None, start: torch.Tensor | None = None) -> Reconstruction:
        """What it finds in so many iterations, else its own number, from `start`, else its own."""
        changed = [] if most is None else [f"optim.max_iterations={most}"]
        settings = self.breaching.get_attack_config(self.name, overrides=changed)
        make, loss = self.breaching.attacks.prepare_attack, torch.nn.CrossEntropyLoss()
        torch.manual_seed(self.scene.spec.request)
        begun = None if start is None else (start - self.mean) / self.std
        found, curves = make(self.net, loss, settings).reconstruct(*self.seen, initial_data=begun)
        curve = torch.tensor([curves["Trial_0_Val"] or [torch.nan]])  # none where nothing changed
        return Reconstruction(found["data"] * self.std + self.mean, found["labels"], curve, 0.0)

    def row(self, seconds: float | None) -> Row:
        """In so many seconds of the processor, or in its own number of iterations."""
        most = None
        if seconds is not None:
            few, many = (timed(partial(self.search, n))[1]["processor_s"] for n in (10, 110))
            most = max(1, round(seconds * 100 / (many - few)))
        found, taken = timed(partial(self.search, most))
        truth = self.search(1, self.scene.forget.inputs).loss[0, 0]
        loss = [float(f"{x:.4g}") for x in (found.loss[0, 0], found.loss.min(), truth)]
        return measured(self.scene, found) | taken | {"told": "label", "loss": loss}


def own(scene: Scene) -> Row:
    (found, _), taken = timed(partial(attack, scene))
    return measured(scene, found) | taken | {"told": None, "loss": None}


def measured(scene: Scene, found: Reconstruction) -> Row:
    """As a Record has it, but for the random null, which is the same for all attacks here."""
    values = measure(Outcome(scene, found, rng_of("nulls", scene.spec.request)))
    names = ["psnr", *(f"psnr_{null}" for null in NULLS), "gain", "label_accuracy"]
    row: Row = {name: round(values[name], 3) for name in names}
    return row | {"certified": list(found.certified), "iterations": found.loss.shape[1]}


def kept(about: Row, work: Callable[[], Row]) -> Row:
    """The row that is there, else what the work gives, which is added to the file."""
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    for there in map(json.loads, lines):
        if all(there[name] == about[name] for name in KEY):
            return dict(there)
    row = about | work()
    print(json.dumps(row), flush=True)
    machine = {"threads": 1, "device": "cpu", "versions": versions((*COMPUTING, "breaching"))}
    with FILE.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row | machine) + "\n")
    return row


@click.command()
@click.option("--seed", default=0, help="of the model and of all else")
@click.option("--requests", default=16, help="how many")
@click.option("--first", default=0, help="the first of them")
@click.option("--peers", default="modern,invertinggradients", help="attacks of breaching")
@click.option("--own-iterations", "whole", is_flag=True, help="the peer's number, not our time")
@click.option("--normalised", is_flag=True, help="the peer searches normalised pictures")
def main(seed: int, requests: int, first: int, peers: str, whole: bool, normalised: bool) -> None:
    torch.set_num_threads(1)
    breaching, inputs = package(), "normalised" if normalised else "in [0, 1]"
    for request in range(first, first + requests):
        fields = NET | {"model_seed": seed, "request": request}
        scene = prepare(Spec(**fields, seed=seed, attack="inner_maps", device="cpu"))
        ours = {"attack": "inner_maps", "time": "equal", "inputs": "in [0, 1]", **fields}
        taken = None if whole else kept(ours, partial(own, scene))["processor_s"]
        about = ours | {"time": "own" if whole else "equal", "inputs": inputs}
        for name in peers.split(","):
            peer = Peer(breaching, name, scene, normalised)
            kept(about | {"attack": f"breaching {name}"}, partial(peer.row, taken))


if __name__ == "__main__":
    main()
