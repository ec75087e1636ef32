# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Values as they stand in tables and readings, turned into values of the contract."""

from __future__ import annotations

import json
import re

_BLANK = frozenset({"", "na", "n/a", "nan", "none", "null", "unknown", "u", "-"})
_SEX = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M", "o": "O", "other": "O"}
_YEARS = {"y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
_WHOLE = re.compile(r"^(-?[0-9]+)\.0+$")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(y|m|w|d)?[a-z]*\.?", re.IGNORECASE)
_UNSAID = ("", "unknown", "na", "n/a", "nan", "null", "?")
_LABELS = {
    **dict.fromkeys(("1", "yes", "y", "true", "present", "positive", "pos"), 1),
    **dict.fromkeys(("0", "no", "n", "false", "absent", "negative", "neg"), 0),
    **dict.fromkeys(("-1", "uncertain", "unclear", *_UNSAID), -1),
}


def parse_sex(cell: str) -> str | None:
    """F, M, O, or None for unknown; ValueError for anything else."""
    text = cell.strip().lower()
    if text in _BLANK:
        return None
    if text not in _SEX:
        raise ValueError(f"{cell!r} is no sex; write F, M, O or leave the cell blank")
    return _SEX[text]


def parse_age(cell: str) -> float | None:
    """Years from ``45``, ``45.5``, ``045Y`` (DICOM), ``17 days``; None for unknown; ValueError for anything else."""
    text = cell.strip()
    if text.lower() in _BLANK:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{cell!r} is no age; write years such as 45, or 045Y, 006M, or leave the cell blank")
    years = float(match[1]) * _YEARS[(match[2] or "y").lower()]
    if years > 130:
        raise ValueError(f"{cell!r} is an age of more than 130 years")
    return int(years) if years.is_integer() else round(years, 3)


def parse_label(cell: str) -> int:
    """1 present, 0 absent, -1 unknown from numbers or words; a blank cell is unknown; ValueError for anything else.

    A lone minus may be absent as well as not asked for, and is refused.
    """
    text = parse_class(cell).casefold()
    if text not in _LABELS:
        raise ValueError(
            f"{cell!r} is no label; write 1 or yes for present, 0 or no for absent, -1, unknown or nothing for unknown"
        )
    return _LABELS[text]


def parse_class(cell: str) -> str:
    """Name of a class, with single spaces; of a whole number without the decimal point that pandas gives it."""
    text = " ".join(cell.split())
    return _WHOLE.sub(r"\1", text)


def is_unsaid(cell: str) -> bool:
    """Whether a cell for a class says that it is not known."""
    return cell.strip().casefold() in _UNSAID


def parse_boxes(cell: str) -> list[list[float]]:
    """Boxes from JSON (``[[x0, y0, x1, y1]]`` or one box) or ``x0,y0,x1,y1; x0,y0,x1,y1``; a blank cell has none."""
    text = cell.strip()
    if not text:
        return []
    try:
        if text.startswith("["):
            found = json.loads(text)
            boxes = found if not found or isinstance(found[0], list) else [found]
        else:
            boxes = [re.split(r"\s*,\s*|\s+", part.strip()) for part in text.split(";") if part.strip()]
        numbers = [[float(value) for value in box] for box in boxes]
    except (ValueError, TypeError):
        numbers = [[]]
    if not all(len(box) == 4 for box in numbers):
        raise ValueError(f"{text[:60]!r} is no box; write x0,y0,x1,y1 in pixels, or a JSON list of boxes")
    for box in numbers:
        if box[2] <= box[0] or box[3] <= box[1]:
            raise ValueError(
                f"the box {tidy(box)} has no area; write x0,y0,x1,y1 (two corners, the upper left first), "
                "not x,y,width,height"
            )
    return [tidy(box) for box in numbers]


def tidy(box: list[float]) -> list[float]:
    """Whole numbers without a decimal point."""
    return [int(value) if float(value).is_integer() else value for value in box]
