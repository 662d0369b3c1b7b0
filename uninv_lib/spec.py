"""Spec and Record: everything that defines a run, and what it gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from uninv_lib.data import names, source_of
from uninv_lib.types import unknown

ModelName = Literal["linear", "mlp", "convnet", "resnet18"]
TrainingName = Literal["one_epoch", "converged"]
UnlearningName = Literal["retrain", "gradient_ascent"]
DefenseName = Literal["none", "obfuscation", "pruning", "fine_tuning"]
PresetName = Literal["paper", "fast", "best", "analytic", "second_order"]
ProbesName = Literal["gradient", "zoo", "middling", "public", "boundary"]
ScoreName = Literal["confidence", "log_odds"]
AnswersName = Literal["probabilities", "rounded", "noisy", "label"]
Assumption = Literal[
    "labels", "pretrained", "private_size", "unlearning_steps", "public", "weight_decay"
]


def _dataset(name: Any) -> str:
    source_of(name)
    return str(name)


def _assumptions(value: Any) -> Any:
    """A comma-separated string (command line, papermill) or any sequence -> the names, sorted, each
    once.
    """
    if isinstance(value, str):
        value = [name for name in value.replace(",", " ").split() if name != "none"]
    return tuple(sorted(set(value)))


class Spec(BaseModel):
    """Everything that defines one run. The same Spec gives the same metrics, bit for bit, on one
    machine's CPU.

    Raises pydantic.ValidationError (a ValueError) that names the field, what came and what is
    allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: Annotated[str, BeforeValidator(_dataset)] = Field(
        "photos", description=" or ".join([", ".join(names()[:-1]), names()[-1]])
    )
    model: ModelName = Field("convnet", description="architecture")
    epochs: int | None = Field(
        None, ge=1, description="epochs of pretraining; without, those of the budget"
    )
    width: int = Field(
        16, ge=1, le=1024, description="channels of the convnet's first layer, units of the mlp / 8"
    )
    training: TrainingName = Field(
        "one_epoch",
        description=(
            "private training: an epoch of SGD, or the last linear layer fitted to its optimum"
        ),
    )
    weight_decay: float = Field(
        1.0,
        gt=0,
        description="converged training: L2 penalty beside the sum of the samples' losses",
    )
    private_size: int = Field(
        32, ge=1, description="N, private samples that the model is fine-tuned on"
    )
    forget_size: int = Field(1, ge=1, description="samples forgotten together, drawn at random")
    forget_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="p_u, share of one class that is forgotten; replaces forget_size",
    )
    forget_classes: int = Field(1, ge=1, description="classes that lose that share in one request")
    unlearning: UnlearningName = Field("gradient_ascent", description="unlearning method")
    unlearning_rate: float = Field(1e-3, gt=0, description="step size of gradient ascent")
    unlearning_steps: int = Field(1, ge=1, description="steps of gradient ascent")
    unlearning_batch_size: int | None = Field(
        None, ge=1, description="forgotten samples a step takes; without, all"
    )
    defense: DefenseName = Field(
        "none", description="what is done to the unlearned model before release"
    )
    strength: float = Field(
        0.0,
        ge=0,
        description="obfuscation: relative norm; pruning: share of weights; fine_tuning: epochs",
    )
    attack: Literal["features", "labels"] = Field(
        "features", description="feature recovery or label inference"
    )
    preset: PresetName = Field(
        "fast", description="feature recovery: cost, optimiser and their settings"
    )
    probes: ProbesName = Field(
        "zoo",
        description=(
            "label inference: searched in white box (gradient) or black box (zoo; middling: "
            "to less confidence), or of public samples, an assumption (public, boundary)"
        ),
    )
    score: ScoreName = Field(
        "confidence", description="label inference: what is compared; confidence is published"
    )
    answers: AnswersName = Field("probabilities", description="what the service answers a user")
    knowledge: Annotated[tuple[Assumption, ...], BeforeValidator(_assumptions)] = Field(
        (),
        description=(
            f"what the server knows beyond the threat model: {', '.join(get_args(Assumption))}"
        ),
    )
    seed: int = Field(
        0, ge=0, description="draws the private samples, the fine-tuning, unlearning and the attack"
    )
    request: int = Field(0, ge=0, description="which deletion request under the same model before")
    model_seed: int = Field(0, ge=0, description="draws the pretraining")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto: cuda, then mps, then cpu"
    )
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="arithmetic after pretraining"
    )
    budget: Literal["smoke", "quick", "default", "full"] = Field(
        "default",
        description="effort of pretraining and attack: a second, ten seconds, a minute, a night",
    )

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, values: Any) -> Any:
        for name in values if isinstance(values, Mapping) else ():
            if name not in cls.model_fields:
                raise ValueError(unknown("field", name, cls.model_fields))
        return values

    @model_validator(mode="after")
    def _fields_fit(self) -> Spec:
        if self.forget_share is None and self.forget_size > self.private_size:
            raise ValueError(
                f"forget_size: {self.forget_size}; allowed: 1 to private_size = {self.private_size}"
            )
        if self.forget_share is not None and self.forget_size != 1:
            raise ValueError(
                f"forget_size: {self.forget_size} beside forget_share; allowed: one of the two"
            )
        if self.unlearning_batch_size and self.unlearning != "gradient_ascent":
            raise ValueError(
                f"unlearning_batch_size: with unlearning={self.unlearning!r}; allowed: "
                "'gradient_ascent'"
            )
        if self.forget_classes > 1 and self.forget_share is None:
            raise ValueError(
                f"forget_classes: {self.forget_classes} without forget_share; allowed: 1"
            )
        if self.answers in ("rounded", "label") and self.score == "log_odds":
            raise ValueError(
                f"score: 'log_odds' of answers={self.answers!r} may be infinite; allowed: "
                "confidence"
            )
        if self.answers != "probabilities" and self.probes == "gradient":
            raise ValueError(
                f"probes: 'gradient' of answers={self.answers!r}; allowed: a black box's, "
                "such as zoo"
            )
        if (self.defense == "none") != (self.strength == 0):
            raise ValueError(
                f"strength: {self.strength:g} with defense={self.defense!r}; allowed: 0 "
                "without one, above 0 with one"
            )
        if self.defense == "pruning" and self.strength >= 1:
            raise ValueError(f"strength: {self.strength:g}; allowed for pruning: a share below 1")
        if self.defense == "fine_tuning" and self.strength != int(self.strength):
            raise ValueError(f"strength: {self.strength:g}; allowed for fine_tuning: whole epochs")
        if self.attack == "features" and self.preset == "paper" and "labels" not in self.knowledge:
            raise ValueError(
                f"knowledge: {self.knowledge}; preset 'paper' assumes the labels: add 'labels'"
            )
        if self.preset == "second_order" and "public" not in self.knowledge:
            raise ValueError(
                f"knowledge: {self.knowledge}; preset 'second_order' assumes public data: "
                "add 'public'"
            )
        if "weight_decay" in self.knowledge and self.training != "converged":
            raise ValueError(
                f"knowledge: 'weight_decay' with training={self.training!r}; allowed: 'converged'"
            )
        if ("pretrained" in self.knowledge) != ("private_size" in self.knowledge):
            raise ValueError(
                f"knowledge: {self.knowledge}; 'pretrained' and 'private_size' serve together only"
            )
        return self


class Record(BaseModel):
    """What one run gave. `metrics` repeat bit for bit on one machine's CPU; `seconds` by stage do
    not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: Spec
    metrics: dict[str, float]
    seconds: dict[str, float]
    versions: dict[str, str]
    commit: str | None
    device: str


def explain(error: ValidationError) -> str:
    """What was wrong with a Spec, a line a fault: the field, what is allowed, what came."""
    lines = []
    for fault in error.errors(include_url=False):
        field = ".".join(map(str, fault["loc"]))
        message = fault["msg"].removeprefix("Value error, ")
        lines.append(f"{field}: {message} (came: {fault['input']!r})" if field else message)
    return "\n".join(lines)
