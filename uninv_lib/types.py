"""The words of the project: frozen records that every other module takes and returns."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, cat, isfinite, nn, zeros

State = Mapping[str, Tensor]
"""Parameters and buffers of one model, by name."""

Predict = Callable[[Tensor], Tensor]
"""Inputs (n, *input_shape) -> class probabilities (n, classes): all that a user of the service
has."""


@dataclass(frozen=True)
class Split:
    """Samples with their labels.

    inputs: (n, *input_shape), float, in [0, 1]; labels: (n,), int64, 0 <= label. Raises ValueError
    for a length that does not fit, values that are not finite or lie outside [0, 1].
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.labels.shape != self.inputs.shape[:1]:
            raise ValueError(
                f"labels: shape {tuple(self.labels.shape)} for {len(self.inputs)} inputs; "
                "allowed: one label each"
            )
        if not isfinite(self.inputs).all():
            bad = (~isfinite(self.inputs)).flatten(1).any(1).nonzero()[0].item()
            raise ValueError(
                f"inputs: sample {bad} holds NaN or infinity; remove or fill such values first"
            )
        if len(self.inputs) and (self.inputs.min() < 0 or self.inputs.max() > 1):
            raise ValueError(
                f"inputs: values from {self.inputs.min():.3g} to {self.inputs.max():.3g}; "
                "allowed: 0 to 1"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Split:
        """The samples at these positions, in this order."""
        return Split(self.inputs[indices], self.labels[indices])

    def and_then(self, *others: Split) -> Split:
        """These samples, then those of the others."""
        parts = self, *others
        return Split(cat([p.inputs for p in parts]), cat([p.labels for p in parts]))

    def to(self, like: Tensor) -> Split:
        """The same samples with the inputs' type and the device of `like`."""
        return Split(self.inputs.to(like), self.labels.to(like.device))


@dataclass(frozen=True)
class Dataset:
    """One data set, cut in three: `public` (anyone has it; models are pretrained on it), `private`,
    `test`.
    """

    name: str
    public: Split
    private: Split
    test: Split
    class_names: tuple[str, ...]
    kind: Literal["image", "table"]
    mirrored: bool = True
    """Whether a mirror image is of the same class; pretraining shows them then."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample: (channels, height, width), or (features,)."""
        return tuple(self.public.inputs.shape[1:])

    @property
    def num_classes(self) -> int:
        """How many classes there are, also where some have no sample."""
        return len(self.class_names)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model of the developer's is trained on private samples: from `pretrained` (θ_0), in the
    way that `training` names with its `options`; SGD by lr and batch_size.
    """

    net: nn.Module
    pretrained: State
    lr: float = 1e-3
    batch_size: int = 128
    training: str = "one_epoch"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """What private training kept of one step: the samples that it took, the state before it and
    after it; of training on shards, a step is what one member learned up to one slice, the states
    are that member's, and part is (shard, slice).
    """

    samples: Split
    before: State
    after: State
    part: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Trained(Recipe):
    """A model that was trained so, to `state` (θ), in the steps of `history` where they are kept.

    The states of a history are those that training made anyway, not copies of them.
    """

    state: State
    history: tuple[Recorded, ...] = ()


@dataclass(frozen=True)
class WhiteBoxView:
    """What the server of the threat model sees. Each field that is not None below is an assumption
    beyond it.

    labels: (num_forgotten,) int64, the forgotten samples' true labels; pretrained: θ_0;
    private_size: N; unlearning_steps: of gradient ascent, 1 or more; public: (n, *input_shape),
    samples of the same kind as the private ones; weight_decay: the L2 penalty of converged
    training, for each retained sample; output: which output of the net the logits are, a key, a
    position or a function of what it gives; loss: that was ascended, one of LOSSES or a function of
    (logits, labels); lora_scale: of adapters beside the net's layers, alpha over their rank; step:
    its form, one of STEPS: "plain", or "adam" for a first step that goes by the gradient's signs;
    None: read off the update; weights: how much each entry of the update counts in a search, in
    [0, 1], by the names of parameters; strength: of the defense; releases: further releases of the
    same unlearned model, each defended anew.
    """

    net: nn.Module
    before: State
    after: State
    input_shape: tuple[int, ...]
    num_forgotten: int
    labels: Tensor | None = None
    pretrained: State | None = None
    private_size: int | None = None
    unlearning_steps: int | None = None
    public: Tensor | None = None
    weight_decay: float | None = None
    output: str | int | Callable[[Any], Tensor] | None = None
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None
    lora_scale: float | None = None
    step: str | None = None
    weights: State | None = None
    strength: float | None = None
    releases: tuple[State, ...] | None = None


@dataclass(frozen=True)
class Shadows:
    """What services of the attacker's own answered, made as the attacked one is made, about samples
    that were forgotten or never seen.

    before, after: (n, classes), probabilities; forgotten: (n,) bool.
    """

    before: Tensor
    after: Tensor
    forgotten: Tensor


@dataclass(frozen=True)
class BlackBoxView:
    """What a user of the service sees: the answers of both models to inputs of the user's choice.

    like: a tensor of the type and on the device that the service takes; candidates: (n,
    *input_shape), samples of which is asked whether they were forgotten. Assumptions beyond the
    threat model where they are not None: public, (n, *input_shape), samples of the same kind as the
    private ones, and shadows, answers of services of the attacker's own.
    """

    before: Predict
    after: Predict
    num_classes: int
    input_shape: tuple[int, ...]
    public: Tensor | None = None
    shadows: Shadows | None = None
    candidates: Tensor | None = None
    like: Tensor = field(default_factory=lambda: zeros(()))


@dataclass(frozen=True)
class Reconstruction:
    """Recovered samples, in the attack's own order.

    inputs: (n, *input_shape) in [0, 1]; labels: (n,) int64, known or inferred; loss: (restarts,
    iterations), the cost at each iteration, NaN where a restart stopped early; seconds: wall time
    of the attack; remarks: sentences about what was assumed, and what stood in its way; features:
    (n, features), what reached the last layer, where a search was told it by that layer's update,
    or, of several samples, the first fully connected one;
    residuals: how much of the update, relatively, what was solved leaves unexplained, by what was
    solved; certified: those of them that leave no more than rounding does, so that nothing else is
    left to find.
    """

    inputs: Tensor
    labels: Tensor
    loss: Tensor
    seconds: float
    remarks: tuple[str, ...] = ()
    features: Tensor | None = None
    residuals: Mapping[str, float] = field(default_factory=dict)
    certified: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelScores:
    """change: (classes,), mean change of each class's score on its own probes, after − before (β,
    eq. 10); ranked: (classes,) int64, the most negative change first; queries: answers asked of
    both models together; queries_probes: those asked of the model before to make the probes;
    fewer: the ranking by the first m probes of each class, by m; moved: (classes,), how far the
    logits moved on each class's own probes, up to a constant of each probe, in the mean.
    """

    change: Tensor
    ranked: Tensor
    queries: int
    queries_probes: int = 0
    fewer: Mapping[int, Tensor] = field(default_factory=dict)
    moved: Tensor | None = None


@dataclass(frozen=True)
class MembershipScores:
    """scores: (candidates,), the higher the likelier forgotten; queries: answers asked of both
    models together.
    """

    scores: Tensor
    queries: int


Found = Reconstruction | LabelScores | MembershipScores
"""What an attack gives."""


def unknown(kind: str, name: object, allowed: Collection[str]) -> str:
    """The message about a name that is none of the allowed ones, with the nearest of them."""
    close = difflib.get_close_matches(str(name), allowed, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {name!r}; {hint}allowed: {', '.join(allowed)}"
