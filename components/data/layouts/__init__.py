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
from radbundles.components.data.layouts import (
    aptos2019,
    chest_xray14,
    chexpert,
    covidx,
    csv_export,
    idrid,
    mimic_cxr,
    mured,
    nlm_tuberculosis,
    odir5k,
    open_collection,
    open_i,
    riga,
    rsna_pneumonia,
    siim_acr,
)

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
    "aptos2019": Layout("APTOS 2019, fundus with grades of diabetic retinopathy", aptos2019.read_aptos2019),
    "chest-xray14": Layout("ChestX-ray14 of the NIH, 14 findings and boxes", chest_xray14.read_chest_xray14),
    "chexpert": Layout("CheXpert, 14 observations with uncertain ones", chexpert.read_chexpert),
    "covidx": Layout("COVIDx, normal, pneumonia and COVID-19", covidx.read_covidx),
    "csv": Layout("a table of your own with a column mapping", csv_export.read_csv_export),
    "idrid": Layout("IDRiD, fundus with grades, or with masks of lesions and disc", idrid.read_idrid),
    "mimic-cxr": Layout("MIMIC-CXR, DICOM files with reports", mimic_cxr.read_mimic_cxr),
    "mimic-cxr-jpg": Layout("MIMIC-CXR-JPG, JPEG files with CheXpert labels", mimic_cxr.read_mimic_cxr_jpg),
    "montgomery": Layout("Montgomery County set of NLM, with lung masks", nlm_tuberculosis.read_montgomery),
    "mured": Layout("MuReD, fundus with 20 labels", mured.read_mured),
    "odir-5k": Layout("ODIR-5K, fundus of both eyes with 8 labels", odir5k.read_odir5k),
    "open-collection": Layout("a folder with manifest.jsonl", open_collection.read_open_collection),
    "open-i": Layout("Indiana University set of Open-i, with reports", open_i.read_open_i),
    "riga": Layout("RIGA, fundus with optic disc and cup of six raters", riga.read_riga),
    "rsna-pneumonia": Layout("RSNA Pneumonia Detection Challenge, boxes", rsna_pneumonia.read_rsna_pneumonia),
    "shenzhen": Layout("Shenzhen set of NLM", nlm_tuberculosis.read_shenzhen),
    "siim-acr": Layout("SIIM-ACR Pneumothorax Segmentation, masks from run lengths", siim_acr.read_siim_acr),
}


def folder_of(source: Path, layout: str) -> Path:
    """Folder that the paths of a layout's items are relative to."""
    return source.parent if layout == "csv" else source
