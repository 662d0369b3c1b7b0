"""Several people in one update, exactly, through the library's fully connected net, and the
features of each through one with convolutions: python benchmarks/several_exact.py
[--dataset NAME ...] [--net NAME ...] [--dtype NAME ...] [--count N ...] [--seed N ...];
benchmark_several_exact.jsonl.

A row is one update of gradient ascent, at the library's defaults, that forgets `count` private
samples. `above` are those who stand above rounding, `found` those told apart, `certified` those
with a proof, and `right` those with the right label. "mlp" is the library's net, and `db` the PSNR
of each who was found, as `fast` and `analytic` give it; "vgg" has two convolutions in front of two
fully connected layers and is trained for six epochs, and `db` are its first linear layer's features
beside their length, −20 log10 of the relative error. "convnet" is the library's, of width 16, and
`db` the same of what its last layer alone tells of those who are found: whose features are within a
tenth of their length. Rows of other settings stay in the file.
"""

import copy
import itertools
import json
import math
import statistics
import time
from functools import lru_cache

import click
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from uninv_lib import Spec, load, metrics, prepare
from uninv_lib.anatomy import features_of, met
from uninv_lib.attacks.exact.labelled import Labelled, people_at
from uninv_lib.attacks.exact.people import ABOVE
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.last_layer import TOLD_APART, separate
from uninv_lib.attacks.search.update import forgotten_gradient
from uninv_lib.results import RESULTS
from uninv_lib.support.provenance import versions
from uninv_lib.types import Split, WhiteBoxView

FILE = RESULTS / "benchmark_several_exact.jsonl"
KEY = "dataset", "net", "dtype", "count", "seed"


def mlp(dataset: str, dtype: str, count: int, seed: int) -> tuple[WhiteBoxView, Split, str]:
    """(view, the forgotten, the layer) of the library's fully connected net."""
    size = max(32, count)
    spec = Spec(dataset=dataset, model="mlp", forget_size=count, private_size=size, seed=seed)
    scene = prepare(spec.but(dtype=dtype))
    view = scene.white_box()
    return view, scene.forget, inspect_view(view).anatomy.layers[0]


@lru_cache
def convolutions(dataset: str) -> nn.Sequential:
    """Trained by Adam on the public samples."""
    torch.manual_seed(0)
    data = load(dataset)
    channels, side = data.input_shape[0], data.input_shape[1] // 4
    body = [nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    head = [nn.Linear(32 * side**2, 128), nn.ReLU(), nn.Dropout(), nn.Linear(128, data.num_classes)]
    net = nn.Sequential(*body, *head)
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(6):
        for batch in torch.randperm(len(data.public)).split(64):
            optimiser.zero_grad()
            cross_entropy(net(data.public.inputs[batch]), data.public.labels[batch]).backward()
            optimiser.step()
    return net.eval()


def vgg(dataset: str, dtype: str, count: int, seed: int) -> tuple[WhiteBoxView, Split, str]:
    """The same of a net with convolutions."""
    data, net = load(dataset), copy.deepcopy(convolutions(dataset)).to(getattr(torch, dtype))
    order = torch.randperm(len(data.private), generator=torch.Generator().manual_seed(seed))
    forget = data.private.take(order[:count]).to(next(net.parameters()).detach())
    after = copy.deepcopy(net)
    cross_entropy(after(forget.inputs), forget.labels).backward()
    with torch.no_grad():
        for parameter in after.parameters():
            parameter += 1e-3 * parameter.grad
    states = net.state_dict(), after.state_dict()
    return WhiteBoxView(net, *states, data.input_shape, count), forget, "7"


def convnet(dataset: str, dtype: str, count: int, seed: int) -> tuple[WhiteBoxView, Split, str]:
    """The same of the library's convolution net."""
    spec = Spec(dataset=dataset, model="convnet", width=16, forget_size=count, seed=seed)
    scene = prepare(spec.but(dtype=dtype))
    view = scene.white_box()
    return view, scene.forget, inspect_view(view).anatomy.linear


NETS = {"mlp": mlp, "vgg": vgg, "convnet": convnet}


def row(dataset: str, net: str, dtype: str, count: int, seed: int) -> dict[str, object]:
    view, forget, layer = NETS[net](dataset, dtype, count, seed)
    found = dict(zip(KEY, (dataset, net, dtype, count, seed), strict=True))
    started = time.perf_counter()
    if net == "convnet":
        return found | apart(view, forget, layer)
    try:
        people = people_at(inspect_view(view), layer)
    except ValueError as error:
        return found | {"refused": str(error)}
    found |= {"seconds": round(time.perf_counter() - started, 2)}
    if people is None:
        return found | {"above": None, "found": 0, "certified": 0, "right": 0, "db": []}
    return found | measured(people, view, forget, layer, net)


def apart(view: WhiteBoxView, forget: Split, layer: str) -> dict[str, object]:
    """What the last layer tells of each, beside the nearest of the forgotten."""
    request, (update, point) = inspect_view(view), forgotten_gradient(view)
    anatomy = request.anatomy
    started = time.perf_counter()
    people = separate(view, anatomy, point, update)
    told = {"seconds": round(time.perf_counter() - started, 2)}
    true = features_of(view.net, view.before, layer, forget.inputs).detach().double()
    nearest = torch.cdist(people.features, true).argmin(1)
    relative = (people.features - true[nearest]).norm(dim=1) / true[nearest].norm(dim=1)
    near = (relative < 0.1) & (people.cost < TOLD_APART)
    right = (people.labels == forget.labels[nearest]) & near
    change, noise = (
        torch.cat([part[name].reshape(len(part[name]), -1) for name in anatomy.head], 1).double()
        for part in (update, request.noise)
    )
    told |= {"above": above(change, noise), "found": len(nearest[near].unique()), "certified": 0}
    ratios = -20 * relative[near].log10()
    return told | {"right": int(right.sum()), "db": [round(r, 1) for r in ratios.tolist()]}


def above(change: Tensor, noise: Tensor) -> int:
    """Singular values above what rounding alone would make."""
    most = ABOVE * float(noise.square().mean().sqrt()) * sum(map(math.sqrt, change.shape))
    return int((torch.linalg.svdvals(change) > most).sum())


def measured(
    people: Labelled, view: WhiteBoxView, forget: Split, layer: str, net: str
) -> dict[str, object]:
    """Each who was found beside the nearest of the forgotten."""
    true = met(view.net, view.before, layer, forget.inputs)[0].detach().double()
    entered = people.people.entered
    nearest = torch.cdist(entered, true).argmin(1)
    if net == "vgg":
        relative = (entered - true[nearest]).norm(dim=1) / true[nearest].norm(dim=1)
        ratios = -20 * relative.log10()
    else:
        inputs = inspect_view(view).anatomy.inputs_of(entered)
        ratios = metrics.psnr(inputs, forget.inputs[nearest])
    return {
        "above": people.people.above,
        "found": len(nearest.unique()),
        "certified": int(people.certified.sum()),
        "certified_below_30_db": int((ratios[people.certified] < 30).sum()),
        "right": int((people.labels == forget.labels[nearest]).sum()),
        "db": [round(ratio, 1) for ratio in ratios.tolist()],
    }


@click.command()
@click.option("--dataset", "datasets", multiple=True, default=("photos", "digits"))
@click.option("--net", "nets", multiple=True, type=click.Choice(list(NETS)), default=("mlp",))
@click.option("--dtype", "dtypes", multiple=True, default=("float32", "float64"))
@click.option("--count", "counts", multiple=True, type=int, default=(2, 4, 8, 16))
@click.option("--seed", "seeds", multiple=True, type=int, default=(10, 11, 12))
def main(
    datasets: tuple[str, ...],
    nets: tuple[str, ...],
    dtypes: tuple[str, ...],
    counts: tuple[int, ...],
    seeds: tuple[int, ...],
) -> None:
    torch.set_num_threads(1)
    rows = []
    for setting in itertools.product(datasets, nets, dtypes, counts, seeds):
        rows.append(row(*setting))
        print(json.dumps(rows[-1]), flush=True)
    ratios = [ratio for r in rows for ratio in r.get("db", [])]
    if ratios:
        print(f"median {statistics.median(ratios):.1f} dB of {len(ratios)} found")
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    mine = [[r[name] for name in KEY] for r in rows]
    old = [r for r in map(json.loads, lines) if [r[name] for name in KEY] not in mine]
    with FILE.open("w", encoding="utf-8") as out:
        for each in old + [r | {"versions": versions()} for r in rows]:
            out.write(json.dumps(each) + "\n")


if __name__ == "__main__":
    main()
