# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Size of an image file, without reading its pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file says.

    Args:
        size: (width, height) in pixels, upright.
        channels: number of channels.
        format: ``PNG``, ``JPEG``, ``DICOM`` or ``NIfTI``.
    """

    size: tuple[int, int]
    channels: int
    format: str


def read_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Read the header of a DICOM, NIfTI, PNG or JPEG file; its content says what it is, with or without a suffix.

    A NIfTI file is read whole, since its orientation decides which side is the width.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image, or not one of two dimensions.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        start = file.read(132)
    if not start:
        raise ValueError("the file is empty (0 bytes)")
    if name.lower().endswith((".nii", ".nii.gz")):
        return _nifti(name)
    # A data set without preamble starts with group 0002 or 0008.
    if start[128:] == b"DICM" or start[:2] in (b"\x02\x00", b"\x08\x00"):
        return _dicom(name)
    return _picture(name)


def _picture(name: str) -> ImageHeader:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(name, formats=("PNG", "JPEG")) as image:
            width, height = image.size
            # The loader turns pictures upright. Asking only when the header has Exif spares PNG a search in its data.
            if "exif" in image.info and image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS:
                width, height = height, width
            return ImageHeader((width, height), len(image.getbands()), str(image.format))
    except UnidentifiedImageError:
        raise ValueError("it is not a PNG, JPEG, DICOM or NIfTI file") from None


def _dicom(name: str) -> ImageHeader:
    from pydicom import dcmread

    tags = ["Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"]
    dataset = dcmread(name, stop_before_pixels=True, force=True, specific_tags=tags)
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise ValueError("it is a DICOM file without an image")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise ValueError(f"it has {dataset.NumberOfFrames} frames, not one")
    return ImageHeader((int(dataset.Columns), int(dataset.Rows)), int(dataset.get("SamplesPerPixel") or 1), "DICOM")


def _nifti(name: str) -> ImageHeader:
    from radbundles.transforms.nifti_picture import inflate, open_nifti

    with open(name, "rb") as file:
        values, _ = open_nifti(inflate(file.read(), name), name)
    return ImageHeader((values.shape[1], values.shape[0]), 1, "NIfTI")
