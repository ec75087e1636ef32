# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a bundle's large files are there and are the ones that were published."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radbundles.components.hub.bundles import Bundle

_CHUNK = 1 << 20


@dataclass(frozen=True)
class WeightsReport:
    """State of the weights of one bundle.

    Args:
        file: the weights file, or None where there is none.
        size: its bytes.
        verified: True where its checksum is that of ``large_files.yml``, None where there is none to compare with.
        problems: what is broken.
        notes: what the user may want to do.
    """

    file: str | None
    size: int | None
    verified: bool | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_weights(bundle: Bundle) -> WeightsReport:
    """Compare the large files of a bundle with its ``large_files.yml`` (MONAI's list of files to download)."""
    problems: list[str] = []
    notes: list[str] = []
    verdicts: dict[Path, bool] = {}
    try:
        listed = _large_files(bundle.folder)
    except ValueError as error:
        problems.append(str(error))
        listed = []
    for entry in listed:
        file = bundle.folder / entry["path"]
        if not file.is_file():
            download = f"python -m monai.bundle download_large_files --bundle_path {bundle.folder}"
            notes.append(f"{entry['path']} is not downloaded: {download}")
        elif entry.get("hash_val") not in (None, ""):
            fault = _compare(file, str(entry["hash_val"]), entry.get("hash_type") or "md5")  # MONAI's default
            verdicts[file] = fault is None
            if fault:
                problems.append(f"{entry['path']} {fault}")
    weights = bundle.weights
    if weights is None and not notes:
        notes.append("no weights shipped" + _training(bundle))
    return WeightsReport(
        file=str(weights) if weights else None,
        size=weights.stat().st_size if weights else None,
        verified=verdicts.get(weights) if weights else None,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _large_files(folder: Path) -> list[dict[str, Any]]:
    path = next(folder.glob("large_files.*"), None)
    if path is None:
        return []
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = content["large_files"]
        if not all(isinstance(entry["path"], str) for entry in entries):
            raise TypeError("a path that is no text")
    except (OSError, UnicodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is no list `large_files` of objects with a `path`: {error}") from error
    return list(entries)


def _compare(file: Path, expected: str, kind: str) -> str | None:
    try:
        digest = hashlib.new(kind)
    except ValueError:
        return f"has a checksum of the unknown kind {kind!r}"
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != expected.lower():
        return (
            f"has the {kind} {digest.hexdigest()}, not {expected}: it is damaged or another version; download it again"
        )
    return None


def _training(bundle: Bundle) -> str:
    if not (bundle.folder / "configs" / "train.json").is_file():
        return ""
    return f": train them with `radbundles run {bundle.called} train`"
