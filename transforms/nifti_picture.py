# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Read a radiograph that is stored as a one-slice NIfTI file, upright as displayed, and lay a mask back onto it."""

from __future__ import annotations

import gzip
import zlib
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from radbundles.transforms.read_error import RadiographReadError

__all__ = ["inflate", "is_nifti", "mask_like_nifti", "open_nifti", "read_nifti"]

_AXES = "RLAPSI"  # the order in which anatomical axes take the columns, then the rows, of a display
_DISPLAYED = ("L", "P", "I")  # columns and rows of a radiological display run towards these
# What of a header says where its voxels lie; all else may hold names, notes or programs.
_GEOMETRY = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


class _Slice(NamedTuple):
    """How a display of rows and columns lies in the stored axes: which they are, and which run the other way."""

    down: int
    across: int
    flat: int
    flipped: tuple[int, ...]


def inflate(content: bytes, name: str) -> bytes:
    """Unpack a gzip file; other content is returned as it is."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise RadiographReadError(f"{name}: truncated or damaged gzip file ({error}). Get the file again") from None


def is_nifti(head: bytes) -> bool:
    """Tell from the first 348 bytes whether a file is NIfTI-1 or NIfTI-2 in one piece."""
    return head[344:348] == b"n+1\x00" or head[4:8] == b"n+2\x00"


def open_nifti(content: bytes, name: str) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Read the values (rows, columns) of a NIfTI file of one slice, upright, and the spacing (row, column) in mm.

    NIfTI stores [i, j], most often [column, row]. Where the header gives an anatomical orientation, the slice is
    turned to the radiological display: columns run to the patient's left (to posterior, where the slice has no
    left-right axis), rows run to posterior or inferior. Where it gives none (neither qform nor sform), or the positive
    diagonal that writers put down for a picture [W, H] without orientation (``numpy.eye(4)`` in nibabel and MONAI), the
    order is taken as stored: i runs along the columns, j down the rows.

    Raises:
        RadiographReadError: when the file is damaged, holds a volume or values that are not plain numbers.
    """
    try:
        image = (nib.Nifti2Image if content[4:8] == b"n+2\x00" else nib.Nifti1Image).from_bytes(content)
        if image.get_data_dtype().kind not in "iufb":
            raise RadiographReadError(f"{name}: NIfTI of colors or complex numbers. Save one gray channel")
        shape = (*image.shape, 1, 1)
        if sum(extent > 1 for extent in shape[:3]) > 2 or max(shape[3:]) > 1 or 0 in shape:
            raise RadiographReadError(
                f"{name}: NIfTI of shape {list(image.shape)}, not one slice [W, H] or [W, H, 1]. Save one slice"
            )
        values: np.ndarray = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(shape[:3])
        zooms = np.array((*image.header.get_zooms(), 1.0, 1.0)[:3], dtype=float)
        axes = _slice(image)
    except RadiographReadError:
        raise
    except Exception as error:  # nibabel lets through whatever a damaged header provokes
        reason = " ".join(str(error).split())
        raise RadiographReadError(f"{name}: truncated or damaged NIfTI file ({reason}). Get the file again") from None
    values = np.flip(values, axes.flipped)
    spacing = (float(zooms[axes.down]), float(zooms[axes.across]))
    known = all(np.isfinite(spacing)) and min(spacing) > 0
    return values.transpose(axes.down, axes.across, axes.flat)[..., 0], spacing if known else None


def mask_like_nifti(mask: np.ndarray, content: bytes) -> Any:
    """Lay a mask onto the voxels of the file that its image came from: the way back of :func:`open_nifti`.

    Args:
        mask: uint8 (rows, columns), as displayed.
        content: the (unzipped) bytes of the image's file, which :func:`open_nifti` has read.

    Returns:
        Image of nibabel of the file's type, shape and geometry; nothing else of its header is taken over.

    Raises:
        ValueError: when the mask is of another size.
    """
    kind = nib.Nifti2Image if content[4:8] == b"n+2\x00" else nib.Nifti1Image
    image = kind.from_bytes(content)
    axes = _slice(image)
    shape = (*image.shape, 1, 1)
    if mask.shape != (shape[axes.down], shape[axes.across]):
        raise ValueError(f"a mask of {mask.shape} rows and columns does not fit a NIfTI image of shape {image.shape}")
    back = np.argsort((axes.down, axes.across, axes.flat))
    values = np.flip(mask[..., None].transpose(back), axes.flipped).reshape(image.shape)
    header = kind.header_class()
    for field in _GEOMETRY:
        header[field] = image.header[field]
    header.set_data_dtype(np.uint8)
    return kind(np.ascontiguousarray(values), None, header)


def _slice(image: Any) -> _Slice:
    shape = (*image.shape, 1, 1)[:3]
    flat = max(axis for axis in range(3) if shape[axis] == 1)
    codes = _axis_codes(image, flat)
    plane = [axis for axis in range(3) if axis != flat]
    across, down = sorted(plane, key=lambda axis: _AXES.index(codes[axis]))
    return _Slice(down, across, flat, tuple(axis for axis in plane if codes[axis] not in _DISPLAYED))


def _axis_codes(image: Any, flat: int) -> tuple[str, ...]:
    header, affine = image.header, image.affine
    pictured = flat == 2 and np.array_equal(affine[:3, :3], np.diag(np.abs(np.diag(affine)[:3])))
    if pictured or not (header["qform_code"] > 0 or header["sform_code"] > 0):
        return _DISPLAYED
    codes = nib.aff2axcodes(affine)
    return _DISPLAYED if None in codes else codes


def read_nifti(content: bytes, name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a NIfTI radiograph and stretch its values, rescaled by the header's slope, from [min, max] to [0, 1].

    Values that are not finite are left out of the range and become 0; an image of one value becomes 0.

    Returns:
        float32 array (rows, columns) and a dict with ``photometric`` and, where known, ``spacing``.

    Raises:
        RadiographReadError: see :func:`open_nifti`.
    """
    values, spacing = open_nifti(content, name)
    finite = np.isfinite(values)
    if not finite.any():
        raise RadiographReadError(f"{name}: NIfTI without a finite value. Get the file again")
    low, high = values.min(where=finite, initial=np.inf), values.max(where=finite, initial=-np.inf)
    shown = np.zeros(values.shape, dtype=np.float32)
    if high > low:
        np.divide(values - low, high - low, out=shown, where=finite)
    meta: dict[str, Any] = {"photometric": "MONOCHROME2"}
    return shown, meta if spacing is None else {**meta, "spacing": spacing}
