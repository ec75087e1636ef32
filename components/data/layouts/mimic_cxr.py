# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MIMIC-CXR (DICOM) and MIMIC-CXR-JPG as PhysioNet distributes them.

Both have ``files/p10/p10000032/s50414267/<dicom_id>.dcm|.jpg``. The reports are ``files/p10/p10000032/s50414267.txt``
(``mimic-cxr-reports.zip``). The tables are part of MIMIC-CXR-JPG and can be put beside the DICOM files as well:
``mimic-cxr-2.0.0-metadata``, ``-split`` and ``-chexpert``, ``.csv`` or ``.csv.gz``; without the metadata table
MIMIC-CXR is read from its own ``cxr-record-list.csv``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.report_text import parse_report
from radbundles.components.data.layouts.table import Table, find_table, layout_fault

LICENSE = "PhysioNet Credentialed Health Data License 1.5.0"
_SPLITS = {"train": "training", "validate": "validation", "test": "test"}
# Not mentioned (blank) is left out: it differs from uncertain (-1), which the policy of a label table decides.
_CHEXPERT = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1, "": None}


def read_mimic_cxr(source: Path, *, reports: Path | None = None) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read MIMIC-CXR.

    Args:
        source: folder that holds ``files/``.
        reports: folder whose ``files/`` has the reports, by default the same.

    Yields:
        Row number of the metadata table (or record list) and an item or a fault. Labels are CheXpert's: 1 present,
        0 absent, -1 uncertain; what is not mentioned is left out.

    Raises:
        FileNotFoundError: neither metadata table nor record list.
        ValueError: a table lacks a column.
    """
    return _read(source, ".dcm", "mimic-cxr", reports)


def read_mimic_cxr_jpg(source: Path, *, reports: Path | None = None) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read MIMIC-CXR-JPG.

    Args:
        source: folder that holds the tables and ``files/``.
        reports: folder of MIMIC-CXR whose ``files/`` has the reports, by default the same folder.

    Yields:
        See :func:`read_mimic_cxr`.

    Raises:
        FileNotFoundError: the metadata table is missing.
        ValueError: a table lacks a column.
    """
    return _read(source, ".jpg", "mimic-cxr-jpg", reports)


def _read(source: Path, suffix: str, name: str, reports: Path | None) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    images = _image_table(source, suffix)
    splits = _splits(source)
    labels = _chexpert(source)
    reports = source if reports is None else reports
    for row, cells in images:
        if isinstance(cells, Fault):
            yield row, cells
            continue
        identity, subject, study = cells["dicom_id"], cells["subject_id"], cells["study_id"]
        if not (identity and subject and study):
            fix = "Fill in dicom_id, subject_id and study_id."
            yield row, layout_fault(row, "missing_field", "an identifier is blank", fix, name=identity or None)
            continue
        folder = f"files/p{subject[:2]}/p{subject}/s{study}"
        item: dict[str, Any] = {"id": identity, "image": f"{folder}/{identity}{suffix}"}
        item |= {"patient": subject, "study": study, "modality": "CXR", "source": name, "license": LICENSE}
        if cells.get("ViewPosition"):
            item["view"] = cells["ViewPosition"]
        if study in labels:
            item["labels"] = dict(labels[study])
        if identity in splits:
            item["split"] = splits[identity]
        try:
            text = (reports / f"{folder}.txt").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        sections = parse_report(text)
        if sections:
            item["report"] = sections
        yield row, item


def _image_table(source: Path, suffix: str) -> Table:
    try:
        table = Table(source / "mimic-cxr-2.0.0-metadata.csv.gz")
    except FileNotFoundError:
        if suffix == ".jpg" or not _has_table(source / "cxr-record-list.csv.gz"):
            hint = "give the folder that holds it and files/ (the table is part of MIMIC-CXR-JPG)"
            raise FileNotFoundError(f"{source} has no mimic-cxr-2.0.0-metadata.csv.gz; {hint}") from None
        table = Table(source / "cxr-record-list.csv.gz")
    table.require("dicom_id", "subject_id", "study_id")
    return table


def _has_table(path: Path) -> bool:
    try:
        return find_table(path).is_file()
    except FileNotFoundError:
        return False


def _splits(source: Path) -> dict[str, str]:
    if not _has_table(source / "mimic-cxr-2.0.0-split.csv.gz"):
        return {}
    table = Table(source / "mimic-cxr-2.0.0-split.csv.gz")
    table.require("dicom_id", "split")
    rows = (cells for _, cells in table if not isinstance(cells, Fault))
    return {cells["dicom_id"]: _SPLITS[cells["split"]] for cells in rows if cells["split"] in _SPLITS}


def _chexpert(source: Path) -> dict[str, dict[str, int]]:
    if not _has_table(source / "mimic-cxr-2.0.0-chexpert.csv.gz"):
        return {}
    table = Table(source / "mimic-cxr-2.0.0-chexpert.csv.gz")
    table.require("study_id")
    names = [name for name in table.columns if name not in ("subject_id", "study_id")]
    labels: dict[str, dict[str, int]] = {}
    # Most studies share their labels with many others, so each combination is held once.
    pool: dict[tuple[int | None, ...], dict[str, int]] = {}
    for row, cells in table:
        if isinstance(cells, Fault):
            continue
        try:
            values = tuple(_CHEXPERT[cells[name]] for name in names)
        except KeyError as error:
            found = f"{error.args[0]!r} is no CheXpert label (1, 0, -1, blank)"
            raise ValueError(f"{table.path}, row {row}: {found}") from None
        given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        labels[cells["study_id"]] = pool.setdefault(values, given)
    return labels
