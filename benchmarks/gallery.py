"""The gallery of chapter 3: python benchmarks/gallery.py; results/gallery.safetensors.

A quarter of an hour on one core, with OMP_NUM_THREADS=1; all sixteen pictures of a row are searched
together.
"""

import json
from collections.abc import Mapping

import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from uninv_lib import metrics
from uninv_lib.attacks import baselines, recover_batch
from uninv_lib.book.gallery import NAME, PLACES, ROWS, SEARCH, pictures, scene
from uninv_lib.results import RESULTS
from uninv_lib.scene import Scene, rng_of
from uninv_lib.support.files import whole
from uninv_lib.support.provenance import versions


def nulls(scenes: list[Scene]) -> dict[str, Tensor]:
    """What is had of each picture without an attack: (16, 3, 32, 32) by the baseline's name."""
    one, truth = scenes[0], pictures()
    public = one.public
    found = [baselines.max_diff(s.black_box(), public, 1) for s in scenes]
    noise = [
        baselines.random_image(1, one.dataset.input_shape, rng=rng_of("noise", i))
        for i in range(len(scenes))
    ]
    means = baselines.class_mean(truth.labels, public)
    return {"class mean": means, "MaxDiff": torch.cat(found), "noise": torch.cat(noise)}


def recovered(scenes: list[Scene]) -> Tensor:
    """(16, 3, 32, 32): what the row's attack gives of each picture."""
    views = [s.white_box() if s.spec.defense == "none" else s.knowing() for s in scenes]
    rngs = [rng_of("attack", i) for i in range(len(scenes))]
    name = scenes[0].spec.attack
    found = recover_batch(views, rngs=rngs, attack=name, progress=True, **SEARCH[name])
    return torch.cat([one.inputs for one in found])


def keep(rows: Mapping[str, Tensor], gains: Mapping[str, list[float]]) -> None:
    """Write the pictures, in 8 bits, and their gains, all or nothing."""
    eight = {n: (row * 255).round().to(torch.uint8).contiguous() for n, row in rows.items()}
    told = {"gains": json.dumps(gains), "versions": json.dumps(versions())}
    with whole(RESULTS / NAME) as draft:
        save_file(eight, draft, told)


def main() -> None:
    """Forget each picture in each row's way, recover it, and keep what came back."""
    truth = pictures().inputs
    everyone = {row: [scene(i, row) for i in range(len(PLACES))] for row in tqdm(ROWS, "scenes")}
    known = nulls(everyone["fast"])
    bar = torch.stack([metrics.psnr(images, truth) for images in known.values()]).amax(0)
    rows = {"forgotten": truth, "class mean": known["class mean"]}
    rows |= {row: recovered(scenes) for row, scenes in everyone.items()}
    gains = {
        n: (metrics.psnr(r, truth) - bar).tolist() for n, r in rows.items() if n != "forgotten"
    }
    keep(rows, gains)
    for name, own in gains.items():
        print(f"{name}: {' '.join(f'{gain:.1f}' for gain in own)} dB")


if __name__ == "__main__":
    main()
