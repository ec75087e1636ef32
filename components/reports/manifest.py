# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Run manifest: versions, seeds, config, data hashes, times, memory and metrics of a run, in one JSON file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

import radbundles
from radbundles.components.reports.bare_config import bare_config, config_sha256
from radbundles.components.reports.phases import Phases

__all__ = ["check_manifest", "run_manifest", "write_manifest"]

# Packages that can change a number of a result.
PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy", "transformers", "tokenizers", "pydicom", "pillow")


def run_manifest(
    name: str,
    *,
    config: Mapping[str, Any],
    seeds: Mapping[str, int],
    files: Mapping[str, str | Path],
    phases: Phases,
    metrics: Mapping[str, float],
    device: str = "cpu",
    status: Literal["completed", "stopped", "failed"] = "completed",
) -> dict[str, Any]:
    """Describe a run so that another person can repeat it and compare.

    Nothing in it tells where on which machine the run took place or whose data it read: files appear by role with their
    last name and content hash, absolute paths in the config are cut down to their last part. Read files are hashed
    whole, in a stream.

    Args:
        name: what ran, e.g. the name of the bundle.
        config: the merged config of the run, before its references are resolved.
        seeds: seed of each source of randomness.
        files: role -> path of the files that decide the result, e.g. datalist, tokenizer, weights.
        phases: timed phases.
        metrics: final values; a value that is no finite number becomes null.
        device: torch device of the network.
        status: whether the run came to its end.

    Returns:
        Manifest that fits ``run.schema.json``.

    Raises:
        FileNotFoundError: one of ``files`` is missing.
        TypeError: the config holds something else than JSON values and paths.
    """
    import torch

    kind = torch.device(device)
    on_gpu = kind.type == "cuda" and torch.cuda.is_available()
    manifest = {
        "schema_version": 1,
        "name": name,
        "status": status,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "versions": _versions(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "device": f"{kind.type}: {torch.cuda.get_device_name(kind)}" if on_gpu else kind.type,
            "threads": torch.get_num_threads(),
        },
        "seeds": {key: int(value) for key, value in seeds.items()},
        "config": bare_config(config),
        "config_sha256": config_sha256(config),
        "files": {role: _file(Path(path)) for role, path in files.items()},
        "seconds": {key: round(value, 3) for key, value in phases.seconds.items()},
        "peak_memory": {
            "process": _peak_memory(),
            "device": torch.cuda.max_memory_allocated(kind) if on_gpu else None,
        },
        "metrics": {key: float(value) if math.isfinite(value) else None for key, value in metrics.items()},
    }
    check_manifest(manifest)
    return manifest


def check_manifest(manifest: Any) -> None:
    """Compare a manifest with ``run.schema.json``.

    Raises:
        ValueError: it does not fit; the message names the first place that is wrong.
    """
    error = next(iter(sorted(_validator().iter_errors(manifest), key=lambda error: error.json_path)), None)
    if error is not None:
        raise ValueError(f"run manifest, {error.json_path}: {error.message}")


def write_manifest(path: str | Path, manifest: Mapping[str, Any]) -> None:
    """Check a manifest and write it as JSON; an interrupted write leaves the old file.

    Raises:
        ValueError: it does not fit the schema.
    """
    check_manifest(manifest)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(resources.files(__package__).joinpath("run.schema.json").read_text("utf-8")))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "radbundles": radbundles.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _file(path: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"name": path.name, "bytes": size, "sha256": digest.hexdigest()}


def _peak_memory() -> int | None:
    """Largest resident size that this process ever had, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes
