# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What was found in an image, as lines for the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def answer_lines(record: Mapping[str, Any]) -> str:
    """Lines of one image: its name and size, its warnings, then one line a result.

    Args:
        record: what a bundle wrote of the image, by ``findings.schema.json`` or ``answer.schema.json``.
    """
    width, height = record["size"]
    lines = [f"{record['image']} ({width} x {height})", *(f"  warning: {text}" for text in record["warnings"])]
    return "\n".join([*lines, *(f"  {line}" for line in _LINES[record.get("task", "in words")](record))])


def _in_words(record: Mapping[str, Any]) -> list[str]:
    lines = []
    for one in (*record["phrases"], *record["classes"]):
        x, y = one["point"]
        name, boxes = one.get("text", one.get("name")), len(one["boxes"])
        told = "highest score" if one["measure"] == "score" else f"similarity {one['similarity']:6.3f}, highest"
        lines.append(
            f"{name:40} {told} {one['peak']:6.3f} at ({x:.0f}, {y:.0f}), {boxes} box{'' if boxes == 1 else 'es'}"
        )
    return lines


def _multilabel(record: Mapping[str, Any]) -> list[str]:
    return [
        f"{one['name']:40} {'yes' if one['present'] else 'no ':3}  probability {one['probability']:.3f}, "
        f"yes from {one['threshold']:.3f}"
        for one in record["classes"]
    ]


def _multiclass(record: Mapping[str, Any]) -> list[str]:
    highest = max(one["probability"] for one in record["classes"])
    return [f"{record['answer']:40} probability {highest:.3f}, the highest of {len(record['classes'])}"]


def _segmentation(record: Mapping[str, Any]) -> list[str]:
    return [
        f"{one['name']:40} {one['share']:6.1%} of the image, {one['area']} pixels"
        + (f", {one['area_mm2'] / 100:.1f} cm²" if "area_mm2" in one else "")
        for one in record["classes"]
    ]


def _detection(record: Mapping[str, Any]) -> list[str]:
    lines = []
    for one in record["classes"]:
        for found in one["boxes"]:
            x0, y0, x1, y1 = found["box"]
            where = f"({x0:.0f}, {y0:.0f}) to ({x1:.0f}, {y1:.0f})"
            lines.append(f"{one['name']:40} probability {found['probability']:.3f} at {where}")
    return lines or ["no box"]


_LINES = {
    "in words": _in_words,
    "multilabel": _multilabel,
    "multiclass": _multiclass,
    "segmentation": _segmentation,
    "detection": _detection,
}
