"""Unlearning by the records of training: take back the steps that a forgotten sample was part of.

Graves et al. 2021, "Amnesiac Machine Learning".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from uninv_lib.training.sharded import fingerprints
from uninv_lib.types import Recorded, Split, State, Trained
from uninv_lib.unlearning.needs import require


def amnesiac(trained: Trained, forget: Split, retain: Split, *, rng: torch.Generator) -> State:
    """θ without the updates of all minibatches that held a forgotten sample (Graves et al. 2021).

    Reads `trained.history`, and both parts to know who is gone; no gradient is taken, but the
    developer keeps a state for each step. What others in those minibatches taught is lost with
    them; where all private samples were one minibatch, θ_0 is left. Exact to the last bit where the
    steps taken back are the last ones. Nothing is drawn. A sequence of requests is understood: whom
    neither part holds was forgotten before. Without forgotten samples θ stays as it is. Raises
    ValueError without a history, and where it does not lead to θ.
    """
    require("amnesiac", trained)
    history = trained.history
    if not history:
        raise ValueError(
            "history: empty; allowed: what the private training recorded, as `prepare` keeps it"
        )
    gone, stay = set(fingerprints(forget)), set(fingerprints(retain))
    earlier = _replayed(history, gone | stay)
    if not all(torch.equal(earlier[name], t) for name, t in trained.state.items()):
        raise ValueError(
            "history: leads to another state than trained.state; allowed: a state that the "
            "training gave, or amnesiac after it"
        )
    return _replayed(history, stay - gone) if gone else dict(trained.state)


def _replayed(history: Sequence[Recorded], stay: set[int]) -> State:
    """The first state and the updates of the steps whose samples all stay."""
    kept = [stay.issuperset(fingerprints(step.samples)) for step in history]
    if all(kept):
        return history[-1].after
    first = kept.index(False)
    state = dict(history[first].before)
    for step in [step for step, own in zip(history, kept, strict=True) if own][first:]:
        state = {n: t + (step.after[n] - step.before[n]) for n, t in state.items()}
    return state
