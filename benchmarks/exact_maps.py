"""What entered the last two convolutions of the convnet, solved and certified, beside the truth:
python benchmarks/exact_maps.py [--dataset NAME] [--name NAME] [--width N] [--requests N]
[--first N] [--epochs N] [--moves N]; benchmark_exact_maps.jsonl.

Each request forgets another person by one step of gradient ascent. Rows hold, for each of the two
blocks, whether it is certified, the part of its gradient that is left, the part that rounding is,
and the relative error of what entered it; the share of the last block's windows whose winner is
right, of those that gave more than 0; and the seconds of the whole, by the clock and of the
processor. A request whose gradient drowned in rounding has no blocks. --first passes over requests;
rows of other requests stay in the file.
"""

import json
import statistics
import time

import click
import torch

from uninv_lib import Spec, prepare
from uninv_lib.attacks.exact.chain import Chain, chain_of
from uninv_lib.attacks.exact.inner import MOVES, Inner, last_layer, solve_inner
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.results import RESULTS
from uninv_lib.support.provenance import device_name, versions

FILE = RESULTS / "benchmark_exact_maps.jsonl"


def row(spec: Spec, moves: int) -> dict[str, object]:
    scene = prepare(spec)
    chain = chain_of(inspect_view(scene.white_box()))
    assert chain is not None
    started = time.perf_counter(), time.process_time()
    inner = solve_inner(chain, torch.Generator().manual_seed(spec.request), moves)
    ended = time.perf_counter(), time.process_time()
    seconds = [round(end - start, 2) for start, end in zip(started, ended, strict=True)]
    told = {} if inner is None else against(chain, inner, scene.forget.inputs.double())
    return told | dict(zip(("seconds", "processor_s"), seconds, strict=True))


def against(chain: Chain, inner: Inner, truth: torch.Tensor) -> dict[str, object]:
    """How the maps compare with those of the forgotten sample."""
    right = dict(zip((b.name for b in chain.blocks), chain.entered(truth), strict=False))
    layer, deepest = last_layer(chain), chain.blocks[-1].name
    assert layer is not None
    winners = [
        layer.cells(layer.linear(maps[deepest])).argmax(-1)[0][layer.values > 0]
        for maps in (right, inner.values)
    ]
    blocks = {
        block.name: {
            "certified": block.name in inner.certified,
            "left": tidy(inner.residuals[block.name]),
            "rounding": tidy(float(block.noise.norm() / block.slopes.norm())),
            "error": tidy(off(inner.values[block.name], right[block.name])),
        }
        for block in chain.blocks
        if block.name in inner.values
    }
    share = (winners[0] == winners[1]).double().mean().item()
    return {"blocks": blocks, "winners": round(share, 4)}


def off(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found - right).norm() / right.norm())


def tidy(number: float) -> float:
    return float(f"{number:.2e}")


def key(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("dataset", "width", "epochs", "request", "moves"))


@click.command()
@click.option("--dataset", default="photos", help="as of a Spec")
@click.option("--name", default=None, help="of the data set in the rows, where it is a path")
@click.option("--width", default=16, help="of the convnet")
@click.option("--epochs", default=None, type=int, help="of pretraining")
@click.option("--requests", default=16, help="how many")
@click.option("--first", default=0, help="the first of them")
@click.option("--moves", default=MOVES, help="at most, from a wrong solution")
def main(
    dataset: str,
    name: str | None,
    width: int,
    epochs: int | None,
    requests: int,
    first: int,
    moves: int,
) -> None:
    torch.set_num_threads(1)
    same = {"dataset": dataset, "model": "convnet", "width": width, "epochs": epochs}
    about = {"benchmark": "exact_maps", "dataset": name or dataset, "width": width}
    about |= {"epochs": epochs, "moves": moves}
    rows = []
    for request in range(first, first + requests):
        spec = Spec(**same, request=request, device="cpu")
        rows.append(about | {"request": request} | row(spec, moves))
        print(json.dumps(rows[-1]), flush=True)
    found = [[b["certified"] for b in r.get("blocks", {}).values()] for r in rows]
    both, seconds = [f == [True, True] for f in found], [r["processor_s"] for r in rows]
    print(f"certified: {sum(both)} of {len(rows)}; {statistics.median(seconds):.1f} s", flush=True)
    machine = {"device": device_name(torch.device("cpu")), "versions": versions()}
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    mine = [key(r) for r in rows]
    old = [r for r in map(json.loads, lines) if key(r) not in mine]
    with FILE.open("w", encoding="utf-8") as out:
        for each in old + [r | machine for r in rows]:
            out.write(json.dumps(each) + "\n")


if __name__ == "__main__":
    main()
