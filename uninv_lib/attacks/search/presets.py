"""Presets of feature recovery: cost, optimiser and their settings under a name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from uninv_lib.attacks.search.layerwise import Phases

KINDS = ("plain", "head", "angle", "layerwise")


@dataclass(frozen=True)
class Preset:
    """Settings of the optimisation. tv: weight of the total variation; patience: iterations without
    a better cost (by one part in a thousand) after which a restart ends, None for never; enough:
    cost below which no further restart or round is made; rounds: of `layerwise`, each from the
    picture before; kinds: restarts take these in turn; phases: lengths of the `Phases` of
    `layerwise`, in units of `iterations`; compiled: the search over the whole net runs as one
    function of `torch.compile`, which a night of recoveries pays back (see `descend`).
    """

    error_known: bool
    signed: bool
    lr: float
    iterations: int
    restarts: int
    tv: float
    patience: int | None
    enough: float = 0.0
    rounds: int = 1
    kinds: tuple[str, ...] = ("plain",)
    phases: tuple[float, ...] = (4, 2, 1, 1 / 3, 4 / 3)
    compiled: bool = False

    def iterations_of(self) -> Phases:
        """The steps of each phase, one at least."""
        return Phases(*(max(1, round(self.iterations * share)) for share in self.phases))


PRESETS = {
    # The best of the costs, weights and lengths that we tried on CIFAR-10 and photos (ours).
    "fast": Preset(
        error_known=True,
        signed=False,
        lr=0.1,
        iterations=300,
        restarts=1,
        tv=0.3,
        patience=150,
        enough=0.05,
        rounds=2,
        kinds=("layerwise", "head", "angle"),
    ),
    # Twice the iterations in most phases (ours). The second round gains 2 dB on photos, where one
    # long round is worse than two short ones, and on CIFAR-10 the little that SSIM 0.9 had lacked.
    "best": Preset(
        error_known=True,
        signed=False,
        lr=0.1,
        iterations=600,
        restarts=1,
        tv=0.3,
        patience=None,
        rounds=2,
        kinds=("layerwise", "head", "angle"),
        phases=(4, 2, 1, 1 / 6, 1),
    ),
    # The official code: signed AdamW, lr 0.04 halved at 3/8, 5/8 and 7/8, TV 1e-2, 10,000 x 5 from
    # Gaussian noise.
    "paper": Preset(
        error_known=False,
        signed=True,
        lr=0.04,
        iterations=10_000,
        restarts=5,
        tv=0.01,
        patience=None,
    ),
}
# It has nothing to set: `fast` takes the closed form too, but goes on to search where there is
# none.
PRESETS["analytic"] = PRESETS["fast"]
# Of a net that is more than one linear layer it searches the picture of the features: iterations
# and tv count.
PRESETS["second_order"] = PRESETS["fast"]


def chosen_preset(name: str, settings: dict[str, Any]) -> Preset:
    """The preset of this name with some fields changed. Raises ValueError for what is unknown or
    out of range.
    """
    if name not in PRESETS:
        raise ValueError(f"preset: {name!r}; allowed: {', '.join(PRESETS)}")
    unknown = set(settings) - set(Preset.__dataclass_fields__)
    if unknown:
        raise ValueError(
            f"settings: {sorted(unknown)}; allowed: {', '.join(Preset.__dataclass_fields__)}"
        )
    chosen = replace(PRESETS[name], **settings)
    for field in ("iterations", "restarts", "rounds"):
        if getattr(chosen, field) < 1:
            raise ValueError(f"{field}: {getattr(chosen, field)}; allowed: 1 or more")
    if not chosen.kinds or set(chosen.kinds) - set(KINDS):
        raise ValueError(f"kinds: {chosen.kinds}; allowed: some of {', '.join(KINDS)}")
    return chosen
