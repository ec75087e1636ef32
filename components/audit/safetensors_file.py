# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges the header of a safetensors file, which names its tensors and where their bytes lie."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MAX_HEADER = 16 * 2**20
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
}


def safetensors_fault(path: Path) -> str | None:
    """Say what is wrong with a safetensors file; None if nothing is."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            return "has a header that is longer than the file, or than a header can be"
        head = stream.read(length)
    try:
        header = json.loads(head.decode("utf-8"), object_pairs_hook=_once)
        return _header_fault(header, size - 8 - length)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError):
        return "has a header that is damaged"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is given twice")
    return made


def _header_fault(header: dict[str, Any], size: int) -> str | None:
    facts = header.pop("__metadata__", {})
    if not all(isinstance(one, str) for one in facts.values()):
        return "has metadata that are no texts"
    end = 0
    for tensor in sorted(header.values(), key=lambda tensor: tuple(tensor["data_offsets"])):
        start, stop = tensor["data_offsets"]
        shape = tensor["shape"]
        if tensor["dtype"] not in _BITS or not all(type(one) is int and one >= 0 for one in (start, stop, *shape)):
            return f"has a tensor of an unknown kind {str(tensor['dtype'])[:20]!r}, or negative sizes"
        if start != end or (stop - start) * 8 != math.prod(shape) * _BITS[tensor["dtype"]]:
            return "has tensors whose places do not fit their shapes, or one another"
        end = stop
    return None if end == size else "has bytes that belong to no tensor, or too few"
