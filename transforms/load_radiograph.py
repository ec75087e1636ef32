# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Load a radiograph of any supported file type as the image a reader would see."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import ImageMetaKey

from radbundles.transforms.dicom import is_dicom, read_dicom
from radbundles.transforms.nifti_picture import inflate, is_nifti, read_nifti
from radbundles.transforms.picture import read_picture
from radbundles.transforms.read_error import RadiographReadError

__all__ = ["LoadRadiograph", "LoadRadiographD", "LoadRadiographDict", "LoadRadiographd", "file_type", "read_file"]

# Files that are met in place of a radiograph, by their first bytes.
_OTHERS = {
    b"%PDF": "a PDF document",
    b"GIF8": "a GIF picture",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"BM": "a BMP picture",
    b"RIFF": "a WebP picture or other RIFF file",
    b"PK\x03\x04": "a zip archive",
    b"NRRD": "an NRRD file",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a Git LFS pointer (run git lfs pull)",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
_READABLE = "a radiograph is a DICOM, PNG, JPEG or one-slice NIfTI file"


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read a file whole.

    Raises:
        RadiographReadError: when it is missing, empty, a folder or not readable.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise RadiographReadError(f"expected the path of an image file, got {type(path).__name__}")
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise RadiographReadError(f"{path}: no such file. Check the path and the folder it is relative to") from None
    except IsADirectoryError:
        raise RadiographReadError(f"{path}: a folder. Name one image file in it") from None
    except OSError as error:
        raise RadiographReadError(f"{path}: cannot be read ({error.strerror}). Check the permissions") from None
    if not content:
        raise RadiographReadError(f"{path}: the file is empty (0 bytes). Get the file again")
    return content


def file_type(content: bytes, name: str) -> str:
    """Tell ``"dicom"``, ``"png"``, ``"jpeg"`` or ``"nifti"`` by the (unzipped) content; the suffix has no say.

    Raises:
        RadiographReadError: when the content is anything else.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if is_nifti(content[:348]):
        return "nifti"
    if is_dicom(content[:132]):
        return "dicom"
    if content[344:348] == b"ni1\x00":
        raise RadiographReadError(f"{name}: half of a NIfTI pair (.hdr and .img). Save one .nii or .nii.gz file")
    kind = next((kind for magic, kind in _OTHERS.items() if content.startswith(magic)), "")
    if not kind:
        kind = "a text file" if content[:512].isascii() and b"\x00" not in content[:512] else "not a known image file"
    raise RadiographReadError(f"{name}: {kind}, but {_READABLE}. Convert the file, or leave it out of the data list")


class LoadRadiograph(Transform):
    """Load a radiograph as float32 in [0, 1], [C, H, W]: rows and columns as displayed, never transposed.

    The type is told by the content of the file (DICOM, PNG, JPEG, NIfTI), not by its name. DICOM goes through modality
    LUT, VOI LUT or window, and MONOCHROME1 inversion, see :func:`~radbundles.transforms.dicom_display.display_values`;
    pictures are scaled by their bit depth, see :func:`~radbundles.transforms.picture.read_picture`; for NIfTI see
    :func:`~radbundles.transforms.nifti_picture.open_nifti`. MONAI's own readers return [W, H], and do neither of the
    DICOM steps.

    The result is a MetaTensor whose ``meta`` holds ``filename_or_obj``, ``original_size`` (H, W), ``photometric``
    (MONOCHROME1 here is the file's; the image is inverted already) and ``spacing`` (row, column) in mm. The key
    ``spacing`` is absent where the file tells none, so that ``meta.get("spacing")`` is None and batches of mixed
    files still collate; so are ``view`` and ``body_part``, which DICOM files may tell, and ``colored``. ``affine`` is
    diag(row spacing, column spacing, 1, 1), or the identity.

    Args:
        color: ``"gray"`` for one channel (luma of color pictures), ``"rgb"`` for three.
        window_index: which VOI LUT or window of a DICOM file, counted from 0.
        frame: which frame of a multi-frame DICOM file, counted from 0; None refuses such a file.

    Raises:
        ValueError: when an argument is out of range.
        RadiographReadError: when called with a file that cannot be read; names file, reason and mend.
    """

    def __init__(self, *, color: str = "gray", window_index: int = 0, frame: int | None = None) -> None:
        if color not in ("gray", "rgb"):
            raise ValueError(f"color must be 'gray' or 'rgb', got {color!r}")
        if window_index < 0:
            raise ValueError(f"window_index must be 0 or more, got {window_index}")
        if frame is not None and frame < 0:
            raise ValueError(f"frame must be 0 or more, or None, got {frame}")
        self.color = color
        self.window_index = window_index
        self.frame = frame

    def __call__(self, path: str | os.PathLike[str]) -> MetaTensor:
        """Load one file.

        Args:
            path: the image file.

        Returns:
            MetaTensor [1, H, W], or [3, H, W] for color ``"rgb"``.
        """
        name = os.fspath(path) if isinstance(path, os.PathLike) else str(path)
        values, meta = self._read(read_file(path), name)
        meta = {str(ImageMetaKey.FILENAME_OR_OBJ): name, "original_size": values.shape[:2], **meta}
        spacing = meta.get("spacing", (1.0, 1.0))
        affine = torch.diag(torch.tensor([*spacing, 1.0, 1.0], dtype=torch.float64))
        values = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        return MetaTensor(torch.from_numpy(np.ascontiguousarray(values)), affine=affine, meta=meta)

    def _read(self, content: bytes, name: str) -> tuple[np.ndarray, dict[str, Any]]:
        content = inflate(content, name)
        kind = file_type(content, name)
        if kind == "dicom":
            return read_dicom(content, name, color=self.color, window_index=self.window_index, frame=self.frame)
        if kind == "nifti":
            values, meta = read_nifti(content, name)
            return (np.repeat(values[..., None], 3, axis=-1) if self.color == "rgb" else values), meta
        return read_picture(content, name, color=self.color)


class LoadRadiographd(MapTransform):
    """Dictionary twin of :class:`LoadRadiograph`: paths under ``keys`` become images.

    Args:
        keys: keys that hold paths.
        color: see :class:`LoadRadiograph`.
        window_index: see :class:`LoadRadiograph`.
        frame: see :class:`LoadRadiograph`.
        allow_missing_keys: do not fail for a missing key.

    Raises:
        RadiographReadError: when a file cannot be read; names the key too.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        color: str = "gray",
        window_index: int = 0,
        frame: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadRadiograph(color=color, window_index=window_index, frame=frame)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Replace each path by its image."""
        loaded = dict(data)
        for key in self.key_iterator(loaded):
            try:
                loaded[key] = self.load(loaded[key])
            except RadiographReadError as error:
                raise RadiographReadError(f"key {key!r}: {error}") from error
        return loaded


LoadRadiographD = LoadRadiographDict = LoadRadiographd
