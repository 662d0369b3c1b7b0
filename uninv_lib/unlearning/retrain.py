"""Exact unlearning: train again, from the pretrained model, without the forgotten samples."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from uninv_lib.training import step, train
from uninv_lib.training.sharded import fingerprints
from uninv_lib.types import Split, State, Trained


def retrain(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    order: Annotated[
        Literal["anew", "same"],
        Field(description="of minibatches: drawn anew, or that of the first training"),
    ] = "anew",
) -> State:
    """θ_0 trained on the retained samples only, with the private training's own settings (official
    code).

    The order of minibatches is drawn anew from `rng`, as a developer's second training would; the
    "same" is what `trained.history` kept of an epoch of SGD, each step without the forgotten. Reads
    the retained samples only; N − 1 sample gradients an epoch, which other methods are measured
    against. Without forgotten samples it trains again all the same, without retained ones it gives
    what training gives of none: θ_0 where that takes steps. Raises ValueError for the same order
    after another training, or without a history.
    """
    if order == "anew":
        return train(trained, retain, rng=rng)
    if trained.training != "one_epoch" or not trained.history:
        raise ValueError(
            f"order: 'same' after training {trained.training!r} of {len(trained.history)} recorded "
            "steps; allowed: 'anew', or 'one_epoch' as `prepare` keeps its steps"
        )
    stay, state = set(fingerprints(retain)), trained.pretrained
    for recorded in trained.history:
        own = torch.tensor([number in stay for number in fingerprints(recorded.samples)])
        if own.any():
            state = step(trained.net, state, recorded.samples.take(own.nonzero()[:, 0]), trained.lr)
    return state
