"""Files that appear whole, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path beside `target`, of the same ending, to write to; it becomes `target` where the block
    ends well.
    """
    draft = target.with_name(f".{target.stem}-{uuid.uuid4().hex}{target.suffix}")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
