"""The picture of the README: python .ci/picture.py; a few minutes of one core.

Photographs that were forgotten by approximate unlearning, and what the difference of the two models
gives back, by the default Spec: the first requests, chosen by nothing but their number.
"""

from pathlib import Path

import torch
from torch import Tensor

from uninv_lib import Spec, figures, prepare, run

FILE = Path(__file__).parents[1] / ".github" / "leak.png"
REQUESTS = range(5)


def recovered(spec: Spec) -> Tensor:
    """(1, channels, height, width): what a run has found last."""
    seen: list[Tensor] = []
    run(spec, watch=lambda _step, inputs: seen.append(inputs))
    return seen[-1].detach()


def main() -> None:
    """Draw two rows and keep them."""
    torch.set_num_threads(1)
    specs = [Spec(dataset="photos", device="cpu", request=request) for request in REQUESTS]
    rows = {
        "forgotten": torch.cat([prepare(spec).forget.inputs for spec in specs]),
        "recovered": torch.cat([recovered(spec) for spec in specs]),
    }
    figures.pictures(rows).savefig(FILE, dpi=110)


if __name__ == "__main__":
    main()
