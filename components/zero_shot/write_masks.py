# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks of what was found in an image as files, in its own pixels."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from radbundles.components.zero_shot.results import Grounding, Segmentation
from radbundles.transforms.load_radiograph import file_type, read_file
from radbundles.transforms.nifti_picture import inflate, mask_like_nifti

_LONGEST = 48  # characters; file systems allow 255 bytes, and a character may take four
# Names that Windows keeps for devices, with any suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def write_masks(
    folder: Path, found: Sequence[Grounding | Segmentation], *, meta: Mapping[str, Any], nifti: bool = False
) -> list[dict[str, str]]:
    """Write the mask of each phrase and class: a PNG of one channel, 255 inside and 0 outside, over the whole image.

    They may overlap. One mask at a time is in memory.

    Args:
        folder: where they go, ``<name>.png``; names are made safe.
        found: phrases and classes.
        meta: what the image knows of itself: ``filename_or_obj`` and, if it is known, ``spacing``.
        nifti: write ``<name>.nii.gz`` as well, uint8, 1 inside. The mask of a NIfTI image has its voxels, axes and
            affine. Others lie as ITK reads a picture or a DICOM film without orientation: first axis along the
            columns, to the left, second along the rows, to posterior, origin 0, ``spacing`` or 1 mm.

    Returns:
        For each, ``mask`` and with ``nifti`` also ``nifti``: paths relative to the folder that holds ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = _nifti_source(meta) if nifti else None
    names = [one.phrase if isinstance(one, Grounding) else one.name for one in found]
    files: list[dict[str, str]] = []
    for one, stem in zip(found, file_stems(names), strict=True):
        mask = one.mask
        stream = io.BytesIO()
        Image.fromarray(mask * np.uint8(255)).save(stream, format="PNG", compress_level=2)
        write_whole(folder / f"{stem}.png", stream.getvalue())
        files.append({"mask": f"{folder.name}/{stem}.png"})
        if nifti:
            image = _placed(mask, meta.get("spacing")) if source is None else mask_like_nifti(mask, source)
            write_whole(folder / f"{stem}.nii.gz", gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
            files[-1]["nifti"] = f"{folder.name}/{stem}.nii.gz"
    return files


def file_stems(names: Sequence[str]) -> list[str]:
    """File names without suffix: the names where these are safe, and different even where case does not count."""
    stems: list[str] = []
    taken = set(_DEVICES)
    for number, name in enumerate(names):
        stem = re.sub(r"[^\w-]+", "_", name).strip("_")
        if not stem or len(stem) > _LONGEST or stem.casefold() in taken:
            digest = hashlib.sha256(f"{number} {name}".encode()).hexdigest()[:8]  # a phrase may be named as a class
            stem = f"{stem[:_LONGEST]}-{digest}".lstrip("-")
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)


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
