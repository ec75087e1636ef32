# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Results as JSON: plain numbers, null for what is not defined, whole files only."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from radbundles.components.metrics.bootstrap import Interval

__all__ = ["as_json", "bounds", "read_json", "write_json"]


def as_json(value: Any) -> Any:
    """Copy nested mappings, lists, arrays and numbers as plain JSON values; what is no finite number is None.

    Raises:
        TypeError: a value of another type.
    """
    if isinstance(value, Mapping):
        return {str(key): as_json(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [as_json(entry) for entry in value]
    if isinstance(value, np.generic):
        return as_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    raise TypeError(f"a result holds JSON values and arrays, not {type(value).__name__}")


def bounds(interval: Interval, entry: int | None = None) -> list[float]:
    """``[estimate, low, high]`` of an interval of numbers, or of one entry of an interval of arrays."""
    return [float(bound if entry is None else bound[entry]) for bound in interval]


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write :func:`as_json` of a value; an interrupted write leaves the old file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = json.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False)
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_json(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        what: what it should be, for the messages.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or no object.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no {what} at {path}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no {what}: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is no {what}: it holds a {type(value).__name__}, not an object")
    return value
