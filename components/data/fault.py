# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with one row of a datalist, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FAULTS: dict[str, str] = {
    "invalid_json": "the file or the line is not JSON",
    "wrong_type": "a value has another type than the contract says",
    "wrong_value": "a value is outside what the contract allows",
    "missing_field": "a required field is absent",
    "unknown_field": "a field that the contract does not know",
    "unknown_split": "the split is none of training, validation, test",
    "empty_datalist": "there is no item at all",
    "duplicate_id": "two rows have the same id",
    "patient_in_two_splits": "a patient is in more than one of training, validation, test",
    "missing_image": "the image file does not exist",
    "unreadable_image": "the image file cannot be read",
    "duplicate_image": "two rows have the same image content",
    "wrong_size": "the size that the row states is not that of the image",
    "missing_mask": "a mask file does not exist",
    "unreadable_mask": "a mask file cannot be read",
    "mask_size": "a mask has another size than its image",
    "mask_channels": "a mask has more than one channel",
    "box_inverted": "a box has no area: x1 <= x0 or y1 <= y0",
    "box_outside": "a box leaves the image",
    "unknown_label": "a label that label_names does not list",
    "label_value": "a label is none of 1, 0, -1",
    "empty_report": "the report or one of its sections holds no text",
}
"""Every fault code of :mod:`radbundles.components.data` and what it means."""


@dataclass(frozen=True)
class Fault:
    """One fault of one row.

    Report text and patient identifiers never get into a fault.

    Args:
        row: line of a JSON Lines or CSV file, running number of the item in a JSON file, counted from 1;
            None when the fault is of the whole file.
        id: id of the item, None when it has none.
        field: path of the field inside the item, such as ``boxes.nodule[0]``.
        code: one of :data:`FAULTS`.
        message: what is wrong, with the value.
        fix: how to mend it.
    """

    row: int | None
    id: str | None
    field: str | None
    code: str
    message: str
    fix: str

    def to_dict(self) -> dict[str, Any]:
        """The fault as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        where = [f"row {self.row}" if self.row is not None else "file"]
        if self.id is not None:
            where.append(f"id {self.id!r}")
        if self.field is not None:
            where.append(self.field)
        return f"{', '.join(where)}: {self.message} [{self.code}]. {self.fix}"


def hide_patient(text: str, item: Mapping[str, Any]) -> str:
    """Take the patient identifier of an item out of a text such as a file path.

    An identifier that equals the item's id is public by contract and stays.
    """
    patient = item.get("patient")
    if not isinstance(patient, str) or not patient.strip() or patient == item.get("id"):
        return text
    # A short identifier such as "7" would blot out half of every path, so it must stand alone.
    pattern = re.escape(patient) if len(patient) > 3 else rf"(?<![0-9A-Za-z]){re.escape(patient)}(?![0-9A-Za-z])"
    return re.sub(pattern, "<patient>", text)


def shorten(value: object, length: int = 80) -> str:
    """Show a value in a message, cut to ``length`` characters."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."
