# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes image files for the tests of the transforms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid


def make_dicom(stored: np.ndarray, **attributes: Any) -> Dataset:
    """A radiograph of the given stored values; attributes replace or, when None, remove the usual ones."""
    syntax = attributes.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    bits = 8 * stored.dtype.itemsize
    usual: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": generate_uid(),
        "PatientName": "Secret^Name",
        "PatientID": "PID-4711",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 3 if stored.ndim == 3 else 1,
        "PhotometricInterpretation": "RGB" if stored.ndim == 3 else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
    }
    usual |= attributes
    usual.setdefault("HighBit", usual["BitsStored"] - 1)
    for keyword, value in usual.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if "PixelData" not in attributes:
        dataset.PixelData = stored.tobytes() + b"\x00" * (stored.nbytes % 2)
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return dataset


@pytest.fixture
def dicom_dataset() -> Callable[..., Dataset]:
    """Builds a DICOM data set in memory: stored values, then attributes by keyword."""
    return make_dicom


@pytest.fixture
def dicom_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a DICOM file and returns its path: stored values, then attributes by keyword."""

    def write(stored: np.ndarray, name: str = "image.dcm", **attributes: Any) -> Path:
        make_dicom(stored, **attributes).save_as(tmp_path / name, enforce_file_format=True)
        return tmp_path / name

    return write
