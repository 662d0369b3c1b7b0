"""What came back of sixteen pictures that a reader can name, as results/ holds it: python
benchmarks/gallery.py makes it again.

Whole photographs and details of them, each a private sample beside the other fifteen and as many
crops; the nets know the photographs' crops at a finer scale. Chosen by eye: they say what a
recovery looks like, and nothing about how often one comes back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import interpolate

from uninv_lib import results
from uninv_lib.attacks.search.settings import Changes
from uninv_lib.data.photos import CROP, PHOTOS, SIDE, photo
from uninv_lib.scene import Scene, private_of, scene_of
from uninv_lib.spec import Spec
from uninv_lib.types import Split

NAME = "gallery.safetensors"
SPEC = Spec.model_validate({"dataset": "photos", "model": "convnet", "width": 8, "device": "cpu"})
"""Of all that is forgotten here, by approximate unlearning at the published rate."""
ROWS: Mapping[str, Mapping[str, object]] = {
    "published loop": {"attack": "paper", "knowledge": "labels"},
    "fast": {},
    "best": {"attack": "best"},
    "obfuscation": {"defense": "obfuscation", "strength": 1.0},
    "pruning": {"defense": "pruning", "strength": 0.5},
    "fine-tuning": {"defense": "fine_tuning", "strength": 5.0},
}
"""What was attacked how, by name: fields of a Spec. Who attacks a defended model knows of the
defense."""
SEARCH: Mapping[str, Changes] = {
    "paper": {"iterations": 300, "restarts": 1},
    "fast": {"iterations": 150},
    "best": {"iterations": 300},
}
"""By attack: the published loop as a Record's default budget has it, ours with half of its
iterations."""
DETAILS = {
    "face": ("astronaut", 5, 90, 125),
    "shuttle": ("astronaut", 0, 200, 120),
    "eye": ("chelsea", 85, 45, 110),
    "cup": ("coffee", 20, 60, 200),
    "pagoda": ("china", 15, 0, 190),
    "blossom": ("flower", 50, 40, 220),
}
"""(photograph, top, left, side), in pixels of the photograph."""
NAMES = {"chelsea": "cat", "hubble_deep_field": "galaxies", "immunohistochemistry": "tissue"}
PLACES = {NAMES.get(name, name): (name, 0, 0, SIDE) for name in PHOTOS} | DETAILS


@cache
def pictures() -> Split:
    """The sixteen, 32 x 32 pixels each, with the class of their photograph."""
    cut = [photo(n)[:, t : t + side, left : left + side] for n, t, left, side in PLACES.values()]
    small = [interpolate(x[None], (CROP, CROP), mode="bilinear", antialias=True) for x in cut]
    labels = [PHOTOS.index(name) for name, *_ in PLACES.values()]
    return Split(torch.cat(small).clamp(0, 1), torch.tensor(labels))


def scene(number: int, row: str) -> Scene:
    """One of the pictures, forgotten, as a row of ROWS meets it."""
    spec = SPEC.but(**ROWS[row])
    own = pictures()
    private = own.and_then(private_of(spec.but(private_size=spec.private_size - len(own))))
    rest = torch.arange(len(private)) != number
    parts = private.take(torch.tensor([number])), private.take(rest.nonzero()[:, 0])
    return scene_of(spec.but(request=number), private, parts)


@dataclass(frozen=True)
class Gallery:
    """rows: (16, 3, 32, 32) in [0, 1] by name, "forgotten" and "class mean" beside those of ROWS;
    gains: of each picture, dB above its best null baseline, by the same names but "forgotten".
    """

    rows: Mapping[str, Tensor]
    gains: Mapping[str, list[float]]


def gallery() -> Gallery:
    """As it was measured. Raises FileNotFoundError outside a checkout."""
    with safe_open(results.RESULTS / NAME, "pt") as held:
        rows = {name: held.get_tensor(name).float() / 255 for name in held.keys()}  # noqa: SIM118
        return Gallery(rows, json.loads(held.metadata()["gains"]))
