"""Approximate unlearning: a student of two teachers, one of whom knows nothing.

Chundawat et al. 2023, "Can Bad Teaching Induce Forgetting?"
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from uninv_lib.models import state_of
from uninv_lib.types import Split, State, Trained
from uninv_lib.unlearning.steps import Loss, Rate, Share, Steps, descend, divergence, retained


def bad_teacher(
    trained: Trained,
    forget: Split,
    retain: Split,
    *,
    rng: torch.Generator,
    unlearning_rate: Rate = 1e-3,
    unlearning_steps: Steps = 5,
    retain_weight: Share = 0.5,
) -> State:
    """θ after steps of descent on w · KL(retain, from θ's answers) + (1 − w) · KL(forget, from a
    random net's answers), w = retain_weight (Chundawat et al. 2023).

    Reads the inputs of both parts, no labels. A step takes a gradient of each forgotten sample and
    of a minibatch of retained ones, and the teachers' answers. Without forgotten samples θ stays as
    it is; without retained ones their part falls away. Raises FloatingPointError where it diverges.
    """
    if not len(forget):
        return dict(trained.state)
    net, w, good = trained.net, retain_weight, trained.state
    bad = ignorant(net, good, rng)

    def between(kept: Split) -> Loss:
        return lambda at: (
            w * divergence(net, at, kept.inputs, good)
            + (1 - w) * divergence(net, at, forget.inputs, bad)
        )

    losses = map(between, retained(trained, retain, unlearning_steps, rng))
    return descend("bad_teacher", trained, losses, unlearning_rate)


def ignorant(net: nn.Module, like: State, rng: torch.Generator) -> State:
    """A state of random weights, as torch's layers begin with, drawn on the CPU."""
    fresh = copy.deepcopy(net).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        for layer in fresh.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
    return {name: tensor.to(like[name]) for name, tensor in state_of(fresh).items()}
