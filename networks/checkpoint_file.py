# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading of checkpoint files that others made, without running their code."""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without running any code that it may hold.

    Args:
        path: a file of torch.save (the argparse.Namespace of research code is let through) or safetensors.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no dict, or needs code to be read.
    """
    path = _existing(path)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # The namespace of command-line options is a plain record; everything else stays forbidden.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # pickle, runtime and end-of-file errors alike
        raise ValueError(f"{path.name} cannot be read as a checkpoint of tensors: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a {type(content).__name__}, not a dict of tensors")
    return content


def file_provenance(path: str | Path) -> dict[str, Any]:
    """Name, sha256 and size in bytes of a file.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = _existing(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return {"name": path.name, "sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    return path
