"""What the stages of an inspection pass on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from uninv_lib.anatomy import Anatomy
from uninv_lib.types import WhiteBoxView


@dataclass(frozen=True, kw_only=True)
class Reading:
    """view: as it is understood so far; remarks: sentences for the user, who sees them with the
    result; obstacles: why no search can find the samples, each an error for who tries one.
    """

    view: WhiteBoxView
    remarks: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()

    def but(self, *remarks: str, **changes: object) -> Reading:
        """The same with some fields changed and these remarks more."""
        return replace(self, remarks=self.remarks + remarks, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Inspection(Reading):
    """A whole reading; anatomy: of the view's net with the model before."""

    anatomy: Anatomy
