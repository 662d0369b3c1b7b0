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
    """The checkout's commit, with a plus where files changed since; None outside a checkout, and
    where the library is installed inside another project's.
    """
    ours, head = _git("ls-files", "__init__.py"), _git("rev-parse", "HEAD")
    return f"{head[:12]}{'+' if _git('status', '--porcelain', '.') else ''}" if ours else None


def _git(*words: str) -> str:
    """What git says in the library's folder; nothing where it fails or is not there."""
    folder = Path(__file__).parents[1]
    try:
        said = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
    except OSError:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def device_name(device: torch.device) -> str:
    """The graphics card's name, or the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
