"""The folder of a sweep: a folder for each finished run, which appears whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

DONE = "done.json"
"""The mark of a finished run, written after all its other files."""
MARK: dict[str, Any] = {
    "schema": int,
    "run": str,
    "inputs": dict,
    "finished": str,
    "seconds": (int, float),
}
"""What it says at least, and the types."""
NAME = re.compile(r"[0-9a-f]{16}")
STALE = 3600.0
"""Seconds. Writing a run's files takes much less, so an older draft is a dead process's."""


class Store:
    """Runs by name, 16 hex digits, in `folder`; those that failed in `folder/failed`.

    Any number of sweeps may write into one folder at once: of two results of one run the first
    stands.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.failed = folder, folder / "failed"
        for draft in folder.glob(".draft-*"):
            with suppress(OSError):  # another sweep was faster
                if time.time() - draft.stat().st_mtime > STALE:
                    shutil.rmtree(draft, ignore_errors=True)

    def done(self) -> set[str]:
        """The names of the finished runs."""
        if not self.folder.exists():
            return set()
        with os.scandir(self.folder) as entries:
            return {entry.name for entry in entries if NAME.fullmatch(entry.name)}

    def has(self, name: str) -> bool:
        """Whether the run of this name is finished."""
        return (self.folder / name).is_dir()

    def mark(self, name: str) -> dict[str, Any]:
        """What DONE says of a finished run. Raises ValueError that names its folder where that is
        damaged.
        """
        folder = self.folder / name
        try:
            told: dict[str, Any] = json.loads((folder / DONE).read_text(encoding="utf-8"))
            if not all(isinstance(told[key], kind) for key, kind in MARK.items()):
                raise ValueError(f"allowed: {', '.join(MARK)}")
        except (OSError, ValueError, TypeError, KeyError) as error:
            advice = "move this folder away and sweep again"
            raise ValueError(f"{folder}: {DONE} is damaged: {error!r}; {advice}") from error
        return told

    def keep(self, name: str, files: Mapping[str, bytes]) -> None:
        """Keep the files of a finished run, in their order, and forget that it ever failed. Raises
        OSError.
        """
        self._put(self.folder / name, files)
        if (self.failed / name).is_dir():
            shutil.rmtree(self.failed / name, ignore_errors=True)

    def fail(self, name: str, files: Mapping[str, bytes]) -> None:
        """Keep what a failed run left, in place of what it left before. Raises OSError."""
        self.failed.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.failed / name, ignore_errors=True)
        self._put(self.failed / name, files)

    def _put(self, target: Path, files: Mapping[str, bytes]) -> None:
        draft = self.folder / f".draft-{uuid.uuid4().hex}"
        try:
            draft.mkdir(parents=True)
            for name, content in files.items():
                with open(draft / name, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            _sync(draft)
            try:
                draft.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
            _sync(target.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _sync(folder: Path) -> None:
    """A rename outlives a power failure once its folder is on the disk; Windows has no such
    call.
    """
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
