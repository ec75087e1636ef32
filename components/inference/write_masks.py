# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks of what was found in an image as files, in its own pixels."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from radbundles.components.inference.output_files import file_stems, write_picture, write_whole
from radbundles.transforms.load_radiograph import file_type, read_file
from radbundles.transforms.nifti_picture import inflate, mask_like_nifti


def write_masks(
    folder: Path, names: Sequence[str], masks: Iterable[np.ndarray], *, meta: Mapping[str, Any], nifti: bool = False
) -> list[dict[str, str]]:
    """Write each mask: a PNG of one channel, 255 inside and 0 outside, over the whole image.

    They may overlap. Of masks that are made one after the other, one at a time is in memory.

    Args:
        folder: where they go, ``<name>.png``; names are made safe.
        names: what each mask is of.
        masks: uint8 [H, W] in the pixels of the image, 1 inside.
        meta: what the image knows of itself: ``filename_or_obj`` and, if it is known, ``spacing``.
        nifti: write ``<name>.nii.gz`` as well, uint8, 1 inside. The mask of a NIfTI image has its voxels, axes and
            affine. Others lie as ITK reads a picture or a DICOM film without orientation: first axis along the
            columns, to the left, second along the rows, to posterior, origin 0, ``spacing`` or 1 mm.

    Returns:
        For each, ``mask`` and with ``nifti`` also ``nifti``: paths relative to the folder that holds ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = _nifti_source(meta) if nifti else None
    files: list[dict[str, str]] = []
    for mask, stem in zip(masks, file_stems(names), strict=True):
        write_picture(folder / f"{stem}.png", Image.fromarray(mask * np.uint8(255)))
        files.append({"mask": f"{folder.name}/{stem}.png"})
        if nifti:
            image = _placed(mask, meta.get("spacing")) if source is None else mask_like_nifti(mask, source)
            write_whole(folder / f"{stem}.nii.gz", gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
            files[-1]["nifti"] = f"{folder.name}/{stem}.nii.gz"
    return files


def _nifti_source(meta: Mapping[str, Any]) -> bytes | None:
    """The content of the image's file if that is NIfTI."""
    name = str(meta["filename_or_obj"])
    content = inflate(read_file(name), name)
    return content if file_type(content, name) == "nifti" else None


def _placed(mask: np.ndarray, spacing: Sequence[float] | None) -> nibabel.Nifti1Image:
    rows, columns = (1.0, 1.0) if spacing is None else (float(side) for side in spacing)
    image = nibabel.Nifti1Image(np.ascontiguousarray(mask.T[..., None]), np.diag([-columns, -rows, 1.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return image
