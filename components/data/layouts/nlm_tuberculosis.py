# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The two tuberculosis sets of the National Library of Medicine: Montgomery County and Shenzhen.

Both have ``CXR_png/<name>_<0|1>.png``, where 1 is tuberculosis, and ``ClinicalReadings/<name>_<0|1>.txt``. Montgomery
has ``ManualMask/leftMask`` and ``ManualMask/rightMask`` (the patient's left and right); Shenzhen may have
``mask/<name>_<0|1>_mask.png`` of both lungs. Source: Jaeger et al., Quant Imaging Med Surg 2014;4(6):475-477.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.cells import parse_age, parse_sex
from radbundles.components.data.layouts.table import layout_fault

LICENSE = "NLM open-access tuberculosis set (attribution)"
_NAME = re.compile(r"([A-Z]+_\d+)_([01])")
_SEX = re.compile(r"\b(female|male|f|m)\b", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*-?\s*(y|m|d)[a-z]*", re.IGNORECASE)
_ABOUT = re.compile(r"^\s*(?:patient's|male|female)\b", re.IGNORECASE)


def read_montgomery(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read the Montgomery County set: 138 films with readings and masks of both lungs.

    Args:
        source: folder ``MontgomerySet``.

    Yields:
        Running number of the image by name, and an item or a fault.

    Raises:
        FileNotFoundError: there is no folder ``CXR_png``.
    """
    masks = {"left lung": "ManualMask/leftMask/{}.png", "right lung": "ManualMask/rightMask/{}.png"}
    return _read(source, "montgomery", masks)


def read_shenzhen(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read the Shenzhen set: 662 films with readings, and lung masks where they have been added.

    Args:
        source: folder ``ChinaSet_AllFiles``.

    Yields:
        Running number of the image by name, and an item or a fault.

    Raises:
        FileNotFoundError: there is no folder ``CXR_png``.
    """
    return _read(source, "shenzhen", {"lungs": "mask/{}_mask.png"})


def parse_reading(text: str) -> dict[str, Any]:
    """Sex, age and report of a clinical reading; what is not stated is left out.

    Montgomery writes ``Patient's Sex: F`` and ``Patient's Age: 027Y`` on lines of their own, Shenzhen ``male 38yrs`` on
    the first line; the rest is the reading.
    """
    about = [line for line in text.splitlines() if _ABOUT.match(line)]
    reading = " ".join(" ".join(line for line in text.splitlines() if not _ABOUT.match(line)).split())
    stated = " ".join(re.sub(r"patient's (?:sex|age)\s*:", " ", line, flags=re.IGNORECASE) for line in about)
    found: dict[str, Any] = {}
    sex, age = _SEX.search(stated), _AGE.search(stated)
    if sex:
        found["sex"] = parse_sex(sex[1])
    if age:
        found["age"] = parse_age(f"{age[1]}{age[2]}")
    if reading:
        found["report"] = {"text": reading}
    return found


def _read(source: Path, name: str, masks: dict[str, str]) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    if not (source / "CXR_png").is_dir():
        raise FileNotFoundError(f"{source} has no folder CXR_png; give the folder that NLM's archive unpacks to")
    return _items(source, name, masks)


def _items(source: Path, name: str, masks: dict[str, str]) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    for row, path in enumerate(sorted((source / "CXR_png").glob("*.png")), start=1):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            fix = "Take the file out, or give it NLM's name."
            message = "the file name does not end with _0 or _1"
            yield row, layout_fault(row, "wrong_value", message, fix, name=path.stem, field="image")
            continue
        item: dict[str, Any] = {"id": path.stem, "image": f"CXR_png/{path.name}", "patient": match[1]}
        item |= {"modality": "CXR", "source": name, "license": LICENSE, "labels": {"tuberculosis": int(match[2])}}
        reading = source / "ClinicalReadings" / f"{path.stem}.txt"
        try:
            if reading.is_file():
                item |= parse_reading(reading.read_text(encoding="utf-8-sig", errors="replace"))
        except ValueError as error:
            yield row, layout_fault(row, "wrong_value", str(error), "Correct the reading.", name=path.stem)
            continue
        found = {mask: pattern.format(path.stem) for mask, pattern in masks.items()}
        present = {mask: file for mask, file in found.items() if (source / file).is_file()}
        if present:
            item["masks"] = present
        yield row, item
