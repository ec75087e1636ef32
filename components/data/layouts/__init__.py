# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How known collections lie on disk: one reader for each.

A reader takes the folder (or file) of the collection and yields an item, or a fault, for each row it finds. Paths in
items are relative to the folder. An item may carry the collection's own split as ``split``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts import csv_export, mimic_cxr, nlm_tuberculosis, open_collection, open_i

Row = tuple[int, dict[str, Any] | Fault]


@dataclass(frozen=True)
class Layout:
    """One way in which a collection lies on disk.

    Args:
        summary: what it reads, in one line.
        read: the reader; keyword arguments are the layout's own options.
    """

    summary: str
    read: Callable[..., Iterator[Row]]


LAYOUTS: dict[str, Layout] = {
    "csv": Layout("a table of your own with a column mapping", csv_export.read_csv_export),
    "mimic-cxr": Layout("MIMIC-CXR, DICOM files with reports", mimic_cxr.read_mimic_cxr),
    "mimic-cxr-jpg": Layout("MIMIC-CXR-JPG, JPEG files with CheXpert labels", mimic_cxr.read_mimic_cxr_jpg),
    "montgomery": Layout("Montgomery County set of NLM, with lung masks", nlm_tuberculosis.read_montgomery),
    "open-collection": Layout("a folder with manifest.jsonl", open_collection.read_open_collection),
    "open-i": Layout("Indiana University set of Open-i, with reports", open_i.read_open_i),
    "shenzhen": Layout("Shenzhen set of NLM", nlm_tuberculosis.read_shenzhen),
}


def folder_of(source: Path, layout: str) -> Path:
    """Folder that the paths of a layout's items are relative to."""
    return source.parent if layout == "csv" else source
