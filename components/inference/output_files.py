# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that answers go to: their names, and how they are written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

_LONGEST = 48  # characters; file systems allow 255 bytes, and a character may take four
# Names that Windows keeps for devices, with any suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_BREAK = re.compile(r"\n\s*")


def file_name(name: str) -> str:
    """Return a flat file name for an id: the id itself where it is one, else made safe and unique by a digest."""
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._")
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def file_stems(names: Sequence[str]) -> list[str]:
    """File names without suffix: the names where these are safe, and different even where case does not count."""
    stems: list[str] = []
    taken = set(_DEVICES)
    for number, name in enumerate(names):
        stem = re.sub(r"[^\w-]+", "_", name).strip("_")
        if not stem or len(stem) > _LONGEST or stem.casefold() in taken:
            digest = hashlib.sha256(f"{number} {name}".encode()).hexdigest()[:8]  # a phrase may be named as a class
            stem = f"{stem[:_LONGEST]}-{digest}".lstrip("-")
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG that appears whole or not at all."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=2)  # half the time of the default
    write_whole(path, stream.getvalue())


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write indented JSON that appears whole or not at all, with lists of numbers, and lists of such, on one line."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    # Line breaks stand between values and never in a text, where they are escaped.
    for item in (r"-?[\d.e+-]+", r"\[[\d.e+, -]+\]"):
        text = re.sub(rf"\[\n\s*({item}(?:,\n\s*{item})*)\n\s*\]", lambda found: f"[{_BREAK.sub(' ', found[1])}]", text)
    write_whole(path, (text + "\n").encode())
