"""What probes are asked with, and how many answers that took."""

from __future__ import annotations

from torch import Tensor

from uninv_lib.types import BlackBoxView, Predict


class Counted:
    """A predict that counts the answers it gave."""

    def __init__(self, predict: Predict) -> None:
        self.predict, self.queries = predict, 0

    def __call__(self, inputs: Tensor) -> Tensor:
        """Answers to (n, ...) inputs, which count as n queries."""
        self.queries += len(inputs)
        return self.predict(inputs)


def public_of(view: BlackBoxView) -> Tensor:
    """The view's public samples, (n, *input_shape). Raises ValueError without, or for others."""
    if view.public is None or view.public.shape[1:] != view.input_shape:
        shape = None if view.public is None else tuple(view.public.shape)
        raise ValueError(f"view.public: {shape}; allowed: samples (n, {view.input_shape})")
    return view.public
