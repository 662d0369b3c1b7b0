"""Spec and Record: everything that defines a run, and what it gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal
from warnings import catch_warnings, filterwarnings

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails

from uninv_lib.attacks import ATTACKS
from uninv_lib.data import current, names, source_of
from uninv_lib.methods import (
    DEFAULTS,
    TABLES,
    Method,
    applicable,
    details,
    entry_of,
    method_of,
    owners,
    read_options,
)
from uninv_lib.options import chosen, function_of, one_of, options_of
from uninv_lib.service import ANSWERS
from uninv_lib.types import WhiteBoxView, unknown
from uninv_lib.unlearning.needs import misfit

USERS = ("output", "loss", "lora_scale", "step", "weights")
"""What only a user's own view may say: a scene's net and step are the library's."""
ASSUMPTIONS = tuple(
    field.name
    for field in fields(WhiteBoxView)
    if field.default is not MISSING and field.name not in USERS
)
"""What a server may know beyond the threat model."""
MOST, LARGEST_SEED = 2**31 - 1, 2**63 - 1
"""What torch can count, and what its generators take."""
SCHEMA = 2
"""Of a Record: 2 from the options of methods on, which 1 held for all methods alike."""


def _dataset(name: str) -> str:
    source_of(name)
    return current(name)


def _assumptions(value: Any) -> Any:
    """A comma-separated string (command line, papermill) or any sequence -> the names, sorted, each
    once.
    """
    if isinstance(value, str):
        value = [name for name in value.replace(",", " ").split() if name != "none"]
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError(f"allowed: a list of names, or none, of {', '.join(ASSUMPTIONS)}")
    return tuple(sorted(set(map(str, value))))


def _known_assumptions(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name not in ASSUMPTIONS:
            raise ValueError(unknown("assumption", name, ASSUMPTIONS))
    return value


Count = Annotated[int, Field(ge=1, le=MOST)]
Number = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


class Spec(BaseModel):
    """Everything that defines one run. The same Spec gives the same metrics, bit for bit, on one
    machine's CPU.

    Beside the fields below it has, flat, the options of the methods that it chooses (see `TABLES`),
    such as unlearning_rate of gradient ascent; `known_fields()` lists all there are.
    Raises pydantic.ValidationError (a ValueError) that names the field, what came and what is
    allowed.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    dataset: Annotated[str, AfterValidator(_dataset)] = Field(
        DEFAULTS["dataset"], description=" or ".join([", ".join(names()[:-1]), names()[-1]])
    )
    model: Annotated[str, one_of("model", TABLES["model"])] = Field(
        DEFAULTS["model"], description="architecture"
    )
    epochs: Count | None = Field(
        None, description="epochs of pretraining; without, those of the budget"
    )
    augmentation: bool = Field(
        True, description="pictures are shifted, and mirrored where that is natural, in pretraining"
    )
    training: Annotated[str, one_of("training", TABLES["training"])] = Field(
        DEFAULTS["training"],
        description="private training: an epoch of SGD, of one net or of an ensemble on shards, or "
        "the last linear layer fitted to its optimum",
    )
    private_size: Count = Field(
        32, description="N, private samples that the model is fine-tuned on"
    )
    forget_size: Count = Field(1, description="samples forgotten together, drawn at random")
    forget_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="p_u, share of one class that is forgotten; replaces forget_size",
    )
    forget_classes: Count = Field(1, description="classes that lose that share in one request")
    unlearning: Annotated[str, one_of("unlearning", TABLES["unlearning"])] = Field(
        DEFAULTS["unlearning"], description="unlearning method"
    )
    defense: Annotated[str, one_of("defense", TABLES["defense"])] = Field(
        DEFAULTS["defense"], description="what is done to the unlearned model before release"
    )
    attack: Annotated[str, one_of("attack", TABLES["attack"])] = Field(
        DEFAULTS["attack"], description="recovery by this attack, or label or membership inference"
    )
    answers: Annotated[str, one_of("answers", ANSWERS)] = Field(
        "probabilities", description="what the service answers a user"
    )
    knowledge: Annotated[
        tuple[str, ...], BeforeValidator(_assumptions), AfterValidator(_known_assumptions)
    ] = Field(
        (),
        description=f"what the server knows beyond the threat model: {', '.join(ASSUMPTIONS)}",
    )
    seed: Seed = Field(
        0, description="draws the private samples, the fine-tuning, unlearning and the attack"
    )
    request: Number = Field(0, description="which deletion request under the same model before")
    model_seed: Seed = Field(0, description="draws the pretraining")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto: cuda, else cpu"
    )
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="arithmetic after pretraining"
    )
    budget: Literal["smoke", "quick", "default", "full"] = Field(
        "default",
        description="effort of pretraining and attack: a second, ten seconds, a minute, a night",
    )

    if TYPE_CHECKING:  # the options

        def __getattr__(self, name: str) -> Any: ...

    @model_validator(mode="wrap")
    @classmethod
    def _with_options(cls, given: Any, build: Callable[[Any], Spec]) -> Spec:
        """Reads the options of the chosen methods, and tells all faults at once."""
        if not isinstance(given, Mapping):
            return build(given)
        faults: list[InitErrorDetails] = []
        options: dict[str, Any] = {}
        core = {name: value for name, value in given.items() if name in cls.model_fields}
        try:
            options = read_options(given, cls.model_fields)
        except ValidationError as error:
            faults += details(error)
        try:
            spec = build({**core, **options})
        except ValidationError as error:
            faults += details(error)
        if faults:
            raise ValidationError.from_exception_data("Spec", faults)
        return spec

    @model_validator(mode="after")
    def _fields_fit(self) -> Spec:
        for fault in _misfits(self):
            raise ValueError(fault)
        return self

    def options(self, field: str) -> dict[str, Any]:
        """The options of the method that a field of TABLES chooses, by name."""
        return {name: getattr(self, name) for name in options_of(method_of(field, self.__dict__))}

    def entries(self, *fields: str) -> list[Any]:
        """The entries of tables that these fields choose, or all fields of TABLES, and their
        options.
        """
        found = []
        for field in fields or TABLES:
            entry = entry_of(field, self.__dict__)
            found += [entry, *chosen(function_of(entry), self.options(field))]
        return found

    def methods(self, *fields: str) -> list[Method]:
        """The functions of these entries."""
        return [function_of(entry) for entry in self.entries(*fields)]

    def but(self, **changes: Any) -> Spec:
        """This Spec with some fields changed, and validated. Options of a method that is chosen no
        longer are left out. Raises what Spec raises.
        """
        kept = {name: value for name, value in self.model_dump().items() if name not in changes}
        return Spec(**applicable({**kept, **changes}, quiet=kept))


def known_fields() -> dict[str, list[FieldInfo]]:
    """What a Spec may hold, by name: its own fields, and the options of all methods, one FieldInfo
    for each method that has the option.
    """
    own = {name: [about] for name, about in Spec.model_fields.items()}
    options = {name: [about for _, about in of.values()] for name, of in owners().items()}
    return own | options


def _misfits(spec: Spec) -> Iterator[str]:
    """What is wrong with fields that are right each by itself."""
    known, share = spec.knowledge, spec.forget_share
    if share is None and spec.forget_size > spec.private_size:
        allowed = f"1 to private_size = {spec.private_size}"
        yield f"forget_size: {spec.forget_size}; allowed: {allowed}"
    if share is not None and spec.forget_size != 1:
        yield f"forget_size: {spec.forget_size} beside forget_share; allowed: one of the two"
    if spec.forget_classes > 1 and share is None:
        yield f"forget_classes: {spec.forget_classes} without forget_share; allowed: 1"
    if fault := misfit(spec.unlearning, spec.training):
        yield fault
    if getattr(spec, "order", "anew") == "same" and spec.training != "one_epoch":
        yield f"order: 'same' after training {spec.training!r}; allowed: anew, or one_epoch"
    options = spec.options("attack")
    if spec.answers in ("rounded", "label") and options.get("score") == "log_odds":
        yield (
            f"score: 'log_odds' of answers={spec.answers!r} may be infinite; allowed: confidence"
        )
    if spec.answers != "probabilities" and options.get("probes") == "gradient":
        allowed = "a black box's, such as zoo"
        yield f"probes: 'gradient' of answers={spec.answers!r}; allowed: {allowed}"
    for name in ATTACKS[spec.attack].assumes:
        if name in ASSUMPTIONS and name not in known:
            yield f"knowledge: {known}; attack {spec.attack!r} assumes {name}: add {name!r}"
    for name in known:
        if name in owners() and not hasattr(spec, name):
            of = " and ".join(map(repr, owners()[name]))
            yield f"knowledge: {name!r}, which this run has not; allowed: with {of}"
    if ("pretrained" in known) != ("private_size" in known):
        yield f"knowledge: {known}; 'pretrained' and 'private_size' serve together only"


def upgrade(found: Mapping[str, Any]) -> dict[str, Any]:
    """A Record of any schema -> one of this schema. What is lost had no effect: options of methods
    that were not chosen. Raises ValueError for a schema that is not known yet.
    """
    schema = found.get("schema", 1)
    if schema not in (1, SCHEMA):
        raise ValueError(f"schema: {schema!r}; allowed: 1 to {SCHEMA}; update uninv_lib")
    if schema == SCHEMA:
        return dict(found)
    spec = dict(found["spec"])
    preset = spec.pop("preset", "fast")
    if spec.get("attack", "features") == "features":
        spec["attack"] = preset
    return {**found, "spec": applicable(spec), "schema": SCHEMA}


with catch_warnings():  # of a field that has the name of a method of pydantic's which is no more
    filterwarnings("ignore", 'Field name "schema"')

    class Record(BaseModel):
        """What one run gave. `metrics` repeat bit for bit on one machine's CPU; `seconds` by stage
        do not. Reads Records of older schemas, too.
        """

        model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

        schema: int = SCHEMA  # type: ignore[assignment]
        spec: Spec
        metrics: dict[str, float]
        seconds: dict[str, float]
        versions: dict[str, str]
        commit: str | None
        device: str

        @model_validator(mode="before")
        @classmethod
        def _of_any_schema(cls, found: Any) -> Any:
            holds = isinstance(found, Mapping) and isinstance(found.get("spec"), (Mapping, Spec))
            return upgrade(found) if holds else found


def explain(error: ValidationError) -> str:
    """What was wrong with a Spec, a line a fault: the field, what is allowed, what came."""
    lines = []
    for fault in error.errors(include_url=False):
        field = ".".join(map(str, fault["loc"]))
        message = fault["msg"].removeprefix("Value error, ")
        came = "" if fault["type"] == "missing" else f" (came: {fault['input']!r})"
        lines.append(f"{field}: {message}{came}" if field else message)
    return "\n".join(lines)
