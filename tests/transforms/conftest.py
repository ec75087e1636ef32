# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A tokenizer small enough to work examples by hand, and a maker of DICOM files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from tokenizers import Tokenizer

from radbundles.transforms import ECAMP_ENTITIES, SPECIAL_TOKENS, build_report_tokenizer, load_report_tokenizer

# In the official vocabulary too, three of the 44 words are no piece of their own: these two and upper-case COPD.
SPLIT_WORDS = {"aerate": ("aer", "##ate"), "hyperinflate": ("hyperinfl", "##ate")}
WORDS = (
    "there is no evidence of may be a the heart size normal lungs are clear small large left right pleural mild "
    "moderate bibasilar and or seen acute process copd effusions pneumon space air disease . , ). .. ( ) - 3 5 cm"
).split()
CONTINUATIONS = ("##s", "##ar", "##ic", "##ly", "##.")


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of the tokenizer."""
    entities = [word for word in ECAMP_ENTITIES if word not in SPLIT_WORDS and word != "COPD"]
    split = [piece for pieces in SPLIT_WORDS.values() for piece in pieces]
    pieces = dict.fromkeys([*SPECIAL_TOKENS, *WORDS, *entities, *split, *CONTINUATIONS])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    build_report_tokenizer({piece: number for number, piece in enumerate(pieces)}).save(str(path))
    return path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> Tokenizer:
    """The tokenizer, as the transforms load it."""
    return load_report_tokenizer(tokenizer_file)


@pytest.fixture(scope="session")
def pieces_of(tokenizer: Tokenizer) -> Callable[[str], list[str]]:
    """Function from a text to its pieces with [CLS] in front."""
    return lambda text: ["[CLS]", *tokenizer.encode(text, add_special_tokens=False).tokens]


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
