"""The runs of the recovery explorer that take longer than a chapter may, as results/ holds them:
python benchmarks/explorer.py computes them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from uninv_lib import results
from uninv_lib.spec import Spec
from uninv_lib.support.files import whole
from uninv_lib.widgets.observe import Observed, observe

NAME = "explorer.safetensors"
PICTURES, NUMBERS = ("truth", "frames"), ("metrics", "steps", "curves")


def recorded() -> dict[str, Observed]:
    """By `key_of` its Spec: what was seen of a run, its pictures of 8 bits; nothing where the
    project's results are not at hand.
    """
    file = results.RESULTS / NAME
    if not file.is_file():
        return {}
    with safe_open(file, "pt") as held:
        told = json.loads(held.metadata()["runs"])
        pictures = {name: held.get_tensor(name).float() / 255 for name in held.keys()}  # noqa: SIM118
    return {
        key_of(Spec.model_validate_json(key)): Observed(
            **{name: pictures[f"{i}.{name}"] for name in PICTURES}, **numbers
        )
        for i, (key, numbers) in enumerate(told.items())
    }


def key_of(spec: Spec) -> str:
    """A Spec as text."""
    return spec.model_dump_json()


def record(specs: Iterable[Spec]) -> None:
    """Run these Specs and keep what was seen, all or nothing. Raises what `observe` raises."""
    told, pictures = {}, dict[str, Tensor]()
    for i, spec in enumerate(tqdm(list(specs), "recovery explorer", unit="run")):
        seen = observe(spec)
        told[key_of(spec)] = {name: getattr(seen, name) for name in NUMBERS}
        for name in PICTURES:
            shown = (getattr(seen, name).cpu() * 255).round().to(torch.uint8)
            pictures[f"{i}.{name}"] = shown.contiguous()
    with whole(results.RESULTS / NAME) as draft:
        save_file(pictures, draft, {"runs": json.dumps(told)})
