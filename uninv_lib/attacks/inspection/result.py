"""What the stages of an inspection pass on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from uninv_lib.anatomy import Anatomy
from uninv_lib.types import State, WhiteBoxView


@dataclass(frozen=True)
class Moved:
    """A layer that unlearning changed. relative: the length of its change beside that of its
    parameters; above: beside the length of what rounding alone would make of no change.
    """

    name: str
    relative: float
    above: float


@dataclass(frozen=True, kw_only=True)
class Reading:
    """view: as it is understood so far; remarks: sentences for the user, who sees them with the
    result; obstacles: why no search can find the samples, each an error for who tries one; noise:
    the standard deviation of each entry of the update, by the names of parameters, as rounding
    alone makes it; moved: the layers that did; drowned: whether none moved further than rounding
    does; weights: how much each entry counts, in [0, 1], None for all alike; signs: of the
    gradient, by the names of parameters, where the step went by them; errors_told: whether the last
    layer's update is that of the output errors, up to scale.
    """

    view: WhiteBoxView
    remarks: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    noise: State = field(default_factory=dict)
    moved: tuple[Moved, ...] = ()
    drowned: bool = False
    weights: State | None = None
    signs: State | None = None
    errors_told: bool = True

    def but(self, *remarks: str, **changes: object) -> Reading:
        """The same with some fields changed and these remarks more."""
        return replace(self, remarks=self.remarks + remarks, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Inspection(Reading):
    """A whole reading; anatomy: of the view's net with the model before."""

    anatomy: Anatomy
