# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From what direction a radiograph was taken, as far as its DICOM attributes tell."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

__all__ = ["VIEWS", "dicom_view"]

VIEWS = ("AP", "PA", "LL", "RL", "LATERAL", "OBLIQUE", "DECUBITUS")

# In this order, since a lateral decubitus is no lateral view, and "AP LLD" lies on its side.
_WORDS = (
    ("DECUBITUS", r"\b((left |right )?(lateral )?decub\w*|[lr]ld)\b"),
    ("OBLIQUE", r"\b((left |right )?(anterior |posterior |lateral )?obl(ique)?s?|[lr][apl]o)\b"),
    ("LL", r"\b(ll|left[- ]lateral|lateral[- ]left)\b"),
    ("RL", r"\b(rl|right[- ]lateral|lateral[- ]right)\b"),
    ("PA", r"\b(pa|postero?[- ]?anterior|posterior[-/ ]anterior)\b"),
    ("AP", r"\b(ap|antero?[- ]?posterior|anterior[-/ ]posterior)\b"),
    ("LATERAL", r"\b(lat|lateral)\b"),
)


def dicom_view(dataset: Dataset) -> str | None:
    """Tell the view of a radiograph.

    The first attribute that tells it counts: View Position; the meaning of the View Code Sequence; Patient Orientation
    (rows that run forward or backward are those of a lateral view; others do not tell PA from AP); and, as the last
    hint, a description that names one view. Only a word of :data:`VIEWS` leaves this function, never the text itself.

    Args:
        dataset: attributes of the image.

    Returns:
        ``"AP"``, ``"PA"``, ``"LL"`` and ``"RL"`` (left and right lateral), ``"LATERAL"`` of an unknown side,
        ``"OBLIQUE"``, ``"DECUBITUS"`` (the patient lies on a side), or None.
    """
    codes = [code.get("CodeMeaning") for code in dataset.get("ViewCodeSequence") or ()]
    for text in (dataset.get("ViewPosition"), *codes):
        views = _views_in(text)
        if views:
            return views[0]
    orientation = dataset.get("PatientOrientation")
    if isinstance(orientation, MultiValue) and str(orientation[0]).strip().upper()[:1] in ("A", "P"):
        return "LATERAL"
    for keyword in ("AcquisitionDeviceProcessingDescription", "SeriesDescription"):
        views = _views_in(dataset.get(keyword))
        if len(views) == 1:  # "PA and lateral" names the study's views, not this one
            return views[0]
    return None


def _views_in(text: object) -> list[str]:
    """Return the views that a text names; what one pattern has matched is not read again."""
    words = re.sub(r"[^a-z/-]+", " ", str(text or "").lower())
    views = []
    for view, pattern in _WORDS:
        words, count = re.subn(pattern, " ", words)
        if count:
            views.append(view)
    return views
