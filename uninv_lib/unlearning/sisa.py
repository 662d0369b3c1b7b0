"""Exact unlearning of an ensemble: only the members that knew a forgotten sample train again.

Bourtoule et al. 2021, "Machine Unlearning": sharded, isolated, sliced, aggregated.
"""

from __future__ import annotations

from collections import Counter

import torch

from uninv_lib.models.ensemble import joint_state, member_state
from uninv_lib.training.sharded import fingerprints, learn, places
from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.needs import require


def sisa(trained: Trained, forget: Split, retain: Split, *, rng: torch.Generator) -> State:
    """θ, in which each member of the ensemble that knew a forgotten sample is trained again on its
    retained ones, from the checkpoint in front of the first slice that held one (Bourtoule et al.
    2021).

    Of training "sharded", whose `shards` and `slices` say where a sample is. Reads both parts and
    the checkpoints in `trained.history`. Of one sample it costs 1 / shards
    of training again, and less by the slices in front of its own. A sequence of requests is
    understood: whom neither part holds was forgotten before. Without forgotten samples θ stays as
    it is; a member without retained ones falls back to its checkpoint. Raises ValueError for
    another training, or without a history.
    """
    require("sisa", trained)
    shards, slices = (int(trained.options[name]) for name in ("shards", "slices"))
    states = [member_state(trained.state, i) for i in range(shards)]
    homes = places(retain, shards, slices)[:, 0]
    for shard in sorted(set(places(forget, shards, slices)[:, 0].tolist())):
        own = retain.take(homes == shard)
        start, state = _checkpoint(trained, own, shard)
        states[shard] = learn(trained, own, shard, rng=rng, slices=slices, start=start, state=state)
    return joint_state(states)


def _checkpoint(trained: Trained, own: Split, shard: int) -> tuple[int, State]:
    """The first slice of a shard that somebody is gone from, and the member's state in front of
    it.
    """
    known = Counter(fingerprints(own))  # two people may be alike
    for stage in trained.history:
        home, at = stage.part or (None, 0)
        if home == shard and Counter(fingerprints(stage.samples)) - known:
            return at, stage.before
    raise ValueError(
        f"history: no checkpoint of shard {shard} in front of a forgotten sample; allowed: what "
        "the private training recorded, as `prepare` keeps it"
    )
