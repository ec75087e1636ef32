# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds what may tell of patients in the documents of a bundle: fields of that name, and identifiers of DICOM."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Letters of the name alone, so that `Patient ID`, `patient_id` and `PatientID` are one.
_FIELDS = frozenset(
    "accession accessionnumber birthdate dateofbirth dicomid hadmid medicalrecordnumber mrn patient patientbirthdate "
    "patientid patientname pid report reporttext seriesinstanceuid seriesuid sopinstanceuid studyid studyinstanceuid "
    "studyuid subjectid".split()
)
# Root, then at least six numbers: addresses and versions have fewer.
_UID = re.compile(r"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d*)){6,}(?![\w.]*\w)")
_TEXTS = frozenset((".md", ".txt", ".json", ".csv", ".svg", ".bib"))


def find_patient_fields(folder: Path) -> Iterator[str]:
    """Say where the documents of a bundle have fields of patients, or identifiers; never what stands there.

    Args:
        folder: root of the bundle, of which ``docs`` is read.

    Yields:
        File, place and what was found.
    """
    for path in sorted((folder / "docs").rglob("*")):
        if path.suffix.lower() not in _TEXTS or not path.is_file():
            continue
        name, text = path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if _UID.search(line):
                yield f"{name}: line {number} holds an identifier of a DICOM object"
        for field in _fields(path.suffix.lower(), text):
            if re.sub(r"[^a-z]", "", field.lower()) in _FIELDS:
                yield f"{name}: the field {field!r} may tell of patients"


def _fields(suffix: str, text: str) -> Iterator[str]:
    if suffix == ".csv":
        yield from next(csv.reader(text.splitlines()), [])
    elif suffix == ".json":
        try:
            yield from dict.fromkeys(_keys(json.loads(text)))
        except (ValueError, RecursionError):
            return  # told by the checks of files


def _keys(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from _keys(value)
    elif isinstance(content, list):
        for value in content:
            yield from _keys(value)
