"""Options whose values are the names of a table."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import AfterValidator

from uninv_lib.types import unknown


def one_of(kind: str, table: Mapping[str, object]) -> AfterValidator:
    """For Annotated[str, ...]: raises ValueError for a name that the table does not have."""

    def check(name: str) -> str:
        if name not in table:
            raise ValueError(unknown(kind, name, table))
        return name

    return AfterValidator(check)
