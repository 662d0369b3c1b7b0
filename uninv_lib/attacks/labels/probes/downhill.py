"""From noise down the margin of eq. 8, until the model before is sure enough."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from uninv_lib.attacks.session import Session
from uninv_lib.types import BlackBoxView, Predict

CONFIDENCE = 0.9995  # where the official code stops; a probe that reached it is left alone

Slope = Callable[[Predict, Tensor, Tensor, torch.Generator], Tensor]
"""(predict, inputs, labels, rng) -> the margin's gradient in the inputs."""


def margin(probabilities: Tensor, labels: Tensor) -> Tensor:
    """max over i ≠ t of Z_i − Z_t for each input (eq. 8), (n,): log-probabilities differ as the
    logits do.
    """
    log = probabilities.clamp_min(1e-30).log()
    own = log.gather(1, labels[:, None])[:, 0]
    return log.scatter(1, labels[:, None], -torch.inf).amax(1) - own


def downhill(
    view: BlackBoxView,
    count: int,
    session: Session,
    slope: Slope,
    stop: float,
    iterations: int,
    lr: float,
) -> Tensor:
    """(num_classes, count, *input_shape): noise, clipped to [0, 1], that follows the margin
    downhill (Adam) until its confidence reaches `stop` or `iterations` end.

    Raises ValueError for fewer than one iteration.
    """
    if iterations < 1:
        raise ValueError(f"iterations: {iterations}; allowed: 1 or more")
    predict = view.before
    labels = torch.arange(view.num_classes).repeat_interleave(count)
    noise = torch.randn(len(labels), *view.input_shape, generator=session.rng)
    x = (0.5 + 0.25 * noise).clamp(0, 1).to(view.like)
    labels = labels.to(x.device)
    mean, power = torch.zeros_like(x), torch.zeros_like(x)
    with session.steps(iterations, "probes") as own:
        for i in range(1, iterations + 1):
            with torch.no_grad():
                confidence = predict(x).gather(1, labels[:, None])[:, 0]
            todo = (confidence < stop).nonzero()[:, 0]
            if len(todo) == 0:
                break
            down = slope(predict, x[todo], labels[todo], own.rng).detach()
            mean[todo] = 0.9 * mean[todo] + 0.1 * down
            power[todo] = 0.99 * power[todo] + 0.01 * down.square()
            pace = (mean[todo] / (1 - 0.9**i)) / ((power[todo] / (1 - 0.99**i)).sqrt() + 1e-8)
            x[todo] = (x[todo] - lr * pace).clamp(0, 1)
            own.tick()
    return x.reshape(view.num_classes, count, *view.input_shape)
