# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder of open images with ``manifest.jsonl``: one row an image, with text, labels, masks and boxes.

A row has ``id, source, patient, image, size, view, modality, sex, age, text [{kind, text}], labels, masks, boxes
[{label, xywh, source}], licence, tier``. Boxes become ``x0, y0, x1, y1``. Labels of 0 and 1 are kept; NIH's list of
findings becomes the 14 labels of ChestX-ray14, present for those it names and absent for the others, as text mining
found them. Grades, clinical values and everything else become metadata.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.cells import parse_age, parse_sex, tidy
from radbundles.components.data.layouts.table import layout_fault
from radbundles.components.data.lines import existing, iter_lines, line_id

# ChestX-ray14: Wang et al., CVPR 2017, in the spelling of its Data_Entry table.
NIH_FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
_NO_FINDING = "No Finding"
# A reading, or what a case report says of a film, is the report in one piece; other kinds of text keep their name.
_SECTIONS = {"radiologist_reading": "text", "clinical_notes": "text"}
_BOX_NAMES = {"Infiltrate": "Infiltration"}
# A name such as dr_grade_0_4 states the range of a grade, so its 0 and 1 are not absent and present.
_GRADE = re.compile(r"_\d+_\d+$")
_COPIED = ("image", "patient", "study", "view", "modality", "source", "size", "masks")
_TAKEN = frozenset({*_COPIED, "id", "sex", "age", "text", "labels", "boxes", "licence"})


def read_open_collection(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read the rows of ``manifest.jsonl``.

    Args:
        source: the folder.

    Yields:
        Line number and an item or a fault.

    Raises:
        FileNotFoundError: there is no manifest.
    """
    return _items(existing(source / "manifest.jsonl"))


def _items(manifest: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    for row, _, raw in iter_lines(manifest):
        name = None
        try:
            name = line_id(raw)
            yield row, _item(json.loads(raw))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            code = "missing_field" if isinstance(error, KeyError) else "wrong_value"
            message = f"no {error}" if isinstance(error, KeyError) else f"the row cannot be read: {error}"
            yield row, layout_fault(row, code, message, "Correct the row of manifest.jsonl.", name=name)


def _item(entry: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {"id": entry["id"]}
    item |= {key: entry[key] for key in _COPIED if entry.get(key) not in (None, "", {})}
    sex, age = parse_sex(str(entry.get("sex") or "")), parse_age(str(entry.get("age") or ""))
    report: dict[str, str] = {}
    for part in entry.get("text") or []:
        section = _SECTIONS.get(part["kind"], part["kind"])
        report[section] = f"{report[section]}\n{part['text']}" if section in report else part["text"]
    labels, metadata = _labels(entry.get("labels") or {})
    boxes: dict[str, list[list[float]]] = {}
    for box in entry.get("boxes") or []:
        x, y, width, height = box["xywh"]
        boxes.setdefault(_BOX_NAMES.get(box["label"], box["label"]), []).append(tidy([x, y, x + width, y + height]))
        metadata["box_source"] = box.get("source")
    found = {"sex": sex, "age": age, "report": report, "labels": labels, "boxes": boxes}
    found["license"] = entry.get("licence")
    item |= {key: value for key, value in found.items() if value not in (None, {})}
    metadata |= _flat({key: value for key, value in entry.items() if key not in _TAKEN})
    metadata = {key: value for key, value in metadata.items() if value is not None}
    return item | ({"metadata": metadata} if metadata else {})


def _labels(found: dict[str, Any]) -> tuple[dict[str, int], dict[str, Any]]:
    labels: dict[str, int] = {}
    rest: dict[str, Any] = {}
    for name, value in found.items():
        if name == "findings" and isinstance(value, list):
            unknown = set(value) - {*NIH_FINDINGS, _NO_FINDING}
            if unknown:
                raise ValueError(f"{sorted(unknown)} are not among the 14 findings of ChestX-ray14")
            labels |= {finding: int(finding in value) for finding in NIH_FINDINGS}
        elif type(value) is int and value in (0, 1) and not _GRADE.search(name):
            labels[name] = value
        else:
            rest[name] = value
    return labels, _flat(rest)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names, lists as text, as metadata wants them."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            # Laboratory values out of range stand as infinities, which JSON has no number for.
            infinite = isinstance(value, float) and not math.isfinite(value)
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            flat[prefix + name] = text if infinite or isinstance(value, list) else value
    return flat
