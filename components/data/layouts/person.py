# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sex, age and view as published tables and DICOM headers state them, where mistakes are known and left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from radbundles.components.data.layouts.cells import parse_age, parse_sex


def person_of(*, sex: str = "", age: str = "", view: str = "") -> dict[str, Any]:
    """Fields of an item; what is blank or cannot be (an age of 411 years stands in several sets) is left out."""
    found: dict[str, Any] = {"sex": _known(parse_sex, sex), "age": _known(parse_age, age), "view": view.strip() or None}
    return {name: value for name, value in found.items() if value is not None}


def dicom_person(path: Path) -> dict[str, Any]:
    """Patient, sex, age and view of a DICOM file.

    Nothing of a file that is missing or cannot be read: that is for the build and the check to say.
    """
    from pydicom import dcmread
    from pydicom.config import disable_value_validation
    from pydicom.errors import InvalidDicomError

    if path.suffix.lower() not in (".dcm", ".dicom"):
        return {}
    tags = ["PatientID", "PatientSex", "PatientAge", "ViewPosition"]
    try:
        # Ages such as "51" are not what the standard asks for, but they can be read.
        with disable_value_validation():
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
            patient, sex, age, view = (str(header.get(tag) or "").strip() for tag in tags)
    except (OSError, InvalidDicomError):
        return {}
    return {**({"patient": patient} if patient else {}), **person_of(sex=sex, age=age, view=view)}


def _known(parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None
