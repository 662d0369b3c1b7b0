"""What comes back from nets that the library did not build, as users train and unlearn them: python
benchmarks/own_nets.py [--case NAME ...] [--requests N] [--first N] [--samples N] [--iterations N];
benchmark_own_nets.jsonl.

A case is a function of one request's samples that gives the view of them; CASES holds them by name,
and a new one is a function there. Each request forgets other persons of the photographs by one step
of gradient ascent in plain PyTorch. Rows hold the PSNR of every sample in dB, beside that of the
mean of its class, which anybody knows, the attack's lowest cost, its remarks, and the error where
it refuses. --first passes over requests; rows of other requests stay in the file.
"""

import copy
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import click
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from uninv_lib import load, metrics
from uninv_lib.attacks import recover_features
from uninv_lib.results import RESULTS
from uninv_lib.support.provenance import versions
from uninv_lib.support.torchvision import import_torchvision
from uninv_lib.types import Split, WhiteBoxView

FILE = RESULTS / "benchmark_own_nets.jsonl"
Case = Callable[[Split], WhiteBoxView]
RATE = 1e-3


@lru_cache
def data():
    return load("photos")


def trained(net: nn.Module, epochs: int = 10) -> nn.Module:
    """By Adam on the public photographs, in eval() then."""
    torch.manual_seed(0)
    public, optimiser = data().public, torch.optim.Adam(net.parameters(), 1e-3)
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(public)).split(64):
            optimiser.zero_grad()
            cross_entropy(net(public.inputs[batch]), public.labels[batch]).backward()
            optimiser.step()
    return net.eval()


def unlearned(net: nn.Module, forget: Split, *, train: bool = False) -> nn.Module:
    """A step of gradient ascent, in train() or in eval()."""
    after = copy.deepcopy(net).train(train)
    torch.manual_seed(1)  # of what the net may draw
    return ascended(after, cross_entropy(after(forget.inputs), forget.labels))


def ascended(after: nn.Module, loss: torch.Tensor) -> nn.Module:
    """The same net a step up its loss, in eval()."""
    loss.backward()
    with torch.no_grad():
        for parameter in after.parameters():
            if parameter.grad is not None:
                parameter += RATE * parameter.grad
    return after.eval()


def view_of(net: nn.Module, after: nn.Module, forget: Split) -> WhiteBoxView:
    """Both states, and how many samples were forgotten."""
    states = net.state_dict(), after.state_dict()
    return WhiteBoxView(net, *states, data().input_shape, len(forget))


def blocks(norm: Callable[[int], nn.Module], *head: nn.Module) -> nn.Sequential:
    """Three convolutions, each with a normalisation, two max-poolings, and a linear layer."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), norm(outputs), nn.ReLU()]

    first, second, third = block(3, 16), block(16, 32), block(32, 32)
    layers = [*first, *second, nn.MaxPool2d(2), *third, nn.MaxPool2d(2), nn.Flatten(), *head]
    return nn.Sequential(*layers, nn.Linear(32 * 8 * 8, data().num_classes))


@lru_cache
def batch_norm() -> nn.Module:
    return trained(blocks(nn.BatchNorm2d))


@lru_cache
def dropout() -> nn.Module:
    return trained(blocks(lambda width: nn.GroupNorm(8, width), nn.Dropout(0.5)))


def bn_eval(forget: Split) -> WhiteBoxView:
    """Unlearned in eval()."""
    return view_of(batch_norm(), unlearned(batch_norm(), forget), forget)


def bn_train(forget: Split) -> WhiteBoxView:
    """Unlearned in train(): normalised by the batch's own statistics."""
    return view_of(batch_norm(), unlearned(batch_norm(), forget, train=True), forget)


def bn_train_unseen(forget: Split) -> WhiteBoxView:
    """The same where the running statistics after are kept back."""
    after = unlearned(batch_norm(), forget, train=True)
    after.load_state_dict({**after.state_dict(), **dict(batch_norm().named_buffers())})
    return view_of(batch_norm(), after, forget)


def dropout_eval(forget: Split) -> WhiteBoxView:
    """Dropout in front of the last layer, unlearned in eval()."""
    return view_of(dropout(), unlearned(dropout(), forget), forget)


def dropout_train(forget: Split) -> WhiteBoxView:
    """The same unlearned in train(), and passed so."""
    return view_of(
        copy.deepcopy(dropout()).train(), unlearned(dropout(), forget, train=True), forget
    )


class Convolutions(nn.Module):
    """In plain PyTorch: three convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.third, self.pool = nn.Conv2d(32, 32, 3, padding=1), nn.MaxPool2d(2)
        self.last = nn.Linear(32 * 8 * 8, data().num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.first(x).relu())
        return self.last(self.third(self.pool(self.second(x).relu())).relu().flatten(1))


@lru_cache
def convolutions(epochs: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return trained(Convolutions(), epochs)


Make = Callable[..., torch.optim.Optimizer]


def by(make: Make, kept: torch.dtype = torch.float32, retain: int = 0, **options: float) -> Case:
    """One step of this optimiser on `convolutions()`, both states kept in this format; retain:
    private samples descended on beside it.
    """

    def case(forget: Split) -> WhiteBoxView:
        after = copy.deepcopy(convolutions())
        optimiser = make(after.parameters(), **options)
        loss = -cross_entropy(after(forget.inputs), forget.labels)
        if retain:
            others = data().private.take(torch.arange(40, 40 + retain))
            loss = loss + cross_entropy(after(others.inputs), others.labels)
        loss.backward()
        optimiser.step()
        view = view_of(convolutions(), after, forget)
        states = ({n: t.to(kept) for n, t in s.items()} for s in (view.before, view.after))
        return WhiteBoxView(view.net, *states, view.input_shape, view.num_forgotten)

    return case


SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
STEPS: dict[str, Case] = {
    "sgd": by(SGD, lr=1e-3),
    "weight_decay": by(SGD, lr=1e-3, weight_decay=1e-2),
    "adam": by(Adam, lr=1e-3),
    "adam_small": by(Adam, lr=1e-4),
    "adamw": by(AdamW, lr=1e-3, weight_decay=1e-2),
    "adam_half": by(Adam, torch.float16, lr=1e-3),
    "sign_sgd": by(Adam, lr=1e-3, eps=1e-30),
    "neggrad_plus": by(SGD, retain=32, lr=1e-3),
}
HALVES: dict[str, Case] = {
    f"{str(kept).removeprefix('torch.')}_{rate:g}": by(SGD, kept, lr=rate)
    for kept in (torch.float16, torch.bfloat16)
    for rate in (1e-4, 1e-3, 1e-2, 1e-1)
}


def last_layer(forget: Split) -> WhiteBoxView:
    """The update of the last layer alone is sent."""
    view = STEPS["sgd"](forget)
    after = {**view.before, **{n: t for n, t in view.after.items() if n.startswith("last.")}}
    return replace(view, after=after)


class Heads(nn.Module):
    """Beside the classes, what remains of their number by three."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.body, self.one = copy.deepcopy(net), copy.deepcopy(net.last)
        self.body.last, self.two = nn.Identity(), nn.Linear(32 * 8 * 8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.body(x)
        return self.one(h), self.two(h)


def two_heads(forget: Split) -> WhiteBoxView:
    """Both heads have a loss; the second is untrained."""
    torch.manual_seed(0)
    net = Heads(convolutions())
    after = copy.deepcopy(net)
    one, two = after(forget.inputs)
    loss = cross_entropy(one, forget.labels) + 0.3 * cross_entropy(two, forget.labels % 3)
    return view_of(net, ascended(after, loss), forget)


@lru_cache
def pooled() -> nn.Module:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 32, 3, padding=1), nn.GroupNorm(8, 32), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(32, 64, 3, padding=1), nn.GroupNorm(8, 64), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, data().num_classes)]
    return trained(nn.Sequential(*body, *head))


def gap(forget: Split) -> WhiteBoxView:
    """The mean over all positions enters the last layer."""
    return view_of(pooled(), unlearned(pooled(), forget), forget)


@lru_cache
def transformer() -> nn.Module:
    torch.manual_seed(0)
    size = {"image_size": 32, "patch_size": 4, "num_classes": data().num_classes}
    inner = {"num_layers": 2, "num_heads": 4, "hidden_dim": 64, "mlp_dim": 128}
    return trained(import_torchvision("models").VisionTransformer(**size, **inner))


def vit(forget: Split) -> WhiteBoxView:
    """torchvision's vision transformer."""
    return view_of(transformer(), unlearned(transformer(), forget), forget)


OTHERS = (bn_eval, bn_train, bn_train_unseen, dropout_eval, dropout_train)
CASES: dict[str, Case] = (
    STEPS | HALVES | {case.__name__: case for case in (*OTHERS, last_layer, two_heads, gap, vit)}
)


def row(name: str, people: list[int], iterations: int) -> dict[str, object]:
    forget = data().private.take(torch.tensor(people))
    public = data().public
    mean = torch.stack([public.inputs[public.labels == y].mean(0) for y in forget.labels])
    known = metrics.psnr(mean, forget.inputs)
    found = {"benchmark": "own_nets", "case": name, "people": people, "iterations": iterations}
    found |= {"class_mean_db": tidy(known)}
    try:
        recovered = recover_features(
            CASES[name](forget), rng=torch.Generator().manual_seed(0), iterations=iterations
        )
    except ValueError as error:
        return found | {"refused": str(error)}
    matched = metrics.match(recovered.inputs, forget.inputs)
    return found | {
        "db": tidy(metrics.psnr(matched, forget.inputs)),
        "cost": round(recovered.loss[~recovered.loss.isnan()].min().item(), 4),
        "seconds": round(recovered.seconds, 1),
        "remarks": recovered.remarks,
    }


def key(row: dict[str, object]) -> tuple[object, ...]:
    return row["case"], row["people"], row["iterations"]


def tidy(ratios: torch.Tensor) -> list[float]:
    return [round(ratio, 2) for ratio in ratios.tolist()]


@click.command()
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="all without")
@click.option("--requests", default=8, help="of every case")
@click.option("--first", default=0, help="the first of them")
@click.option("--samples", default=1, help="that a request forgets at once")
@click.option("--iterations", default=300, help="of attack 'fast', whose own are 300")
def main(cases: tuple[str, ...], requests: int, first: int, samples: int, iterations: int) -> None:
    chosen = cases or tuple(CASES)
    rows = []
    for name in chosen:
        for start in range(first * samples, (first + requests) * samples, samples):
            rows.append(row(name, list(range(start, start + samples)), iterations))
            print(json.dumps(rows[-1]), flush=True)
        ratios = [ratio for r in rows if r["case"] == name for ratio in r.get("db", [])]
        if ratios:
            print(f"{name}: median {statistics.median(ratios):.1f} dB", flush=True)
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    mine = [key(r) for r in rows]
    old = [r for r in map(json.loads, lines) if key(r) not in mine]
    with FILE.open("w", encoding="utf-8") as out:
        for each in old + [r | {"versions": versions()} for r in rows]:
            out.write(json.dumps(each) + "\n")


if __name__ == "__main__":
    main()
