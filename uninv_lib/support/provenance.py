"""Where numbers come from: versions, the code, the checkout's commit, the device."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

COMPUTING = ("uninv-lib", "torch", "numpy", "scikit-learn", "scikit-image")
"""The packages whose versions a Record holds."""


def versions(packages: tuple[str, ...] = COMPUTING) -> dict[str, str]:
    """The versions of Python and of these packages; "absent" for what is not installed."""
    return {"python": platform.python_version()} | {
        package: _version(package) for package in packages
    }


@lru_cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The checkout's commit, with a plus where files changed since; None outside a checkout."""
    folder, words = Path(__file__).parents[1], {"capture_output": True, "text": True}
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, **words)  # type: ignore[call-overload]
        dirty = subprocess.run(["git", "status", "--porcelain", "."], cwd=folder, **words)  # type: ignore[call-overload]
    except OSError:
        return None
    return (
        f"{head.stdout.strip()[:12]}{'+' if dirty.stdout.strip() else ''}"
        if head.returncode == 0
        else None
    )


def device_name(device: torch.device) -> str:
    """The graphics card's name, or the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
