"""Slow stages, kept on disk by the hash of what they depend on. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def home() -> Path:
    """The folder of caches and downloads: the variable UNINV_HOME, else the platform's cache
    folder.
    """
    return Path(os.environ.get("UNINV_HOME") or user_cache_path("uninv_lib"))


def digest(*parts: object) -> str:
    """Hash of JSON-like values and tensors (their type, shape and bytes), 16 hex digits."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            sha.update(f"{part.dtype}{tuple(part.shape)}".encode())
            sha.update(
                part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            )
        else:
            sha.update(json.dumps(part, sort_keys=True).encode())
    return sha.hexdigest()[:16]


def kept(stage: str, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors under this key, or compute() and keep them. A torn or foreign file is computed
    anew.

    Written under a temporary name and renamed, so that a reader or an interruption never meets half
    a file; where the folder cannot be written the result is returned all the same.
    """
    file = home() / stage / f"{key}.safetensors"
    found = _read(file)
    if found is not None:
        return found
    tensors = compute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
        os.close(handle)
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary)
        os.replace(temporary, file)
    except OSError:
        return tensors
    return _read(file) or tensors  # as it will be read again, in its layout, too


def _read(file: Path) -> dict[str, Tensor] | None:
    """The tensors of a file, in memory of their own; None where it is absent, torn or foreign."""
    try:
        return {name: tensor.clone() for name, tensor in load_file(file).items()}
    except (OSError, SafetensorError):
        return None
