"""What methods that go step by step share: their losses, their minibatches, and the walk itself.

A part of a loss that has no samples is 0, so that it falls away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from uninv_lib.models import logits
from uninv_lib.training import moved, slopes_of
from uninv_lib.types import Split, State, Trained

Rate = Annotated[float, Field(gt=0, description="size of a step")]
Steps = Annotated[int, Field(ge=1, le=10**6, description="steps")]
Share = Annotated[
    float, Field(ge=0, le=1, description="share of the retained samples' part in the loss")
]
Loss = Callable[[State], Tensor]


def error(net: nn.Module, at: State, split: Split) -> Tensor:
    """Mean cross-entropy; 0 without samples."""
    if not len(split):
        return split.inputs.new_zeros(())
    return cross_entropy(logits(net, at, split.inputs), split.labels)


def divergence(net: nn.Module, at: State, inputs: Tensor, teacher: State) -> Tensor:
    """Mean KL divergence of the answers at `at` from the teacher's; 0 without inputs."""
    if not len(inputs):
        return inputs.new_zeros(())
    taught = logits(net, teacher, inputs).detach().log_softmax(1)
    told = logits(net, at, inputs).log_softmax(1)
    return kl_div(told, taught, reduction="batchmean", log_target=True)


def minibatches(
    split: Split, size: int | None, count: int, rng: torch.Generator
) -> Sequence[Split]:
    """So many minibatches of this size, in an order drawn anew for each pass over the samples;
    without a size, or samples, each is the whole split.
    """
    if size is None or not len(split):
        return [split] * count
    found: list[Split] = []
    while len(found) < count:
        found += [
            split.take(part) for part in torch.randperm(len(split), generator=rng).split(size)
        ]
    return found[:count]


def retained(trained: Trained, retain: Split, count: int, rng: torch.Generator) -> Sequence[Split]:
    """So many minibatches of the private training's size; nothing is drawn where one holds all."""
    size = trained.batch_size if len(retain) > trained.batch_size else None
    return minibatches(retain, size, count, rng)


def one_by_one(split: Split) -> Iterator[Split]:
    """Each sample by itself."""
    for i in range(len(split)):
        yield split.take(torch.tensor([i], device=split.labels.device))


def relabelled(net: nn.Module, state: State, forget: Split, rng: torch.Generator) -> Split:
    """The samples, each with another label, drawn from all other classes alike."""
    classes = logits(net, state, forget.inputs[:1]).shape[1]
    shift = torch.randint(1, max(2, classes), (len(forget),), generator=rng)
    return Split(forget.inputs, (forget.labels + shift.to(forget.labels)) % classes)


def descend(
    method: str,
    trained: Trained,
    losses: Iterable[Loss],
    rate: float,
    mask: Mapping[str, Tensor] | None = None,
) -> State:
    """θ after a step of gradient descent on each of these losses in turn; of weights whose mask is
    0 none moves. Raises what `finite` raises.
    """
    state, losses = trained.state, list(losses)
    for i, loss in enumerate(losses):
        slopes = slopes_of(trained.net, state, loss)
        slopes = slopes if mask is None else {n: g * mask[n] for n, g in slopes.items()}
        state = finite(method, trained, moved(state, slopes, rate), i + 1, len(losses), rate)
    return state


def finite(
    method: str, trained: Trained, state: State, done: int, steps: int, rate: float
) -> State:
    """The state. Raises FloatingPointError where its parameters are not finite: the method failed,
    and its model must not be released.
    """
    if not all(torch.isfinite(state[name]).all() for name, _ in trained.net.named_parameters()):
        raise FloatingPointError(
            f"{method}: not finite after step {done} of {steps} at unlearning_rate {rate:g}; the "
            "method failed, take fewer steps or a lower rate"
        )
    return state


def flat(slopes: Mapping[str, Tensor]) -> Tensor:
    """All values in one row."""
    return torch.cat([slope.flatten() for slope in slopes.values()])


def shaped(row: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Such a row, cut again into what it was made of."""
    parts = row.split([slope.numel() for slope in like.values()])
    return {n: part.view_as(like[n]) for n, part in zip(like, parts, strict=True)}
