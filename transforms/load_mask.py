# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Load the masks of a data list item as one tensor with a channel for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from radbundles.transforms.load_radiograph import file_type, read_file
from radbundles.transforms.nifti_picture import inflate, open_nifti
from radbundles.transforms.picture import open_picture
from radbundles.transforms.read_error import RadiographReadError

__all__ = ["LoadMaskD", "LoadMaskDict", "LoadMaskd", "read_mask"]


class LoadMaskd(MapTransform):
    """Load ``{class: path}`` as uint8 [C, H, W], 1 inside and 0 outside, channels in the order of ``classes``.

    A pixel is inside where the PNG is not black (or fully transparent), or the NIfTI value not zero. JPEG is refused:
    its rounding spills over the border.

    Args:
        keys: keys that hold the masks of an item.
        classes: the classes and the order of their channels; other masks of the item are not read.
        missing: ``"zeros"`` for an empty channel where an item has no mask of a class, ``"error"`` to refuse.
        image_key: key of the loaded image, whose size every mask must have, and whose affine the result takes.
        allow_missing_keys: do not fail for a missing key.

    Raises:
        ValueError: when an argument is wrong.
        RadiographReadError: naming key, class, file, reason and mend.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        classes: Sequence[str],
        missing: str = "zeros",
        image_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
            raise ValueError(f"classes must be a list of different names, got {classes!r}")
        if missing not in ("zeros", "error"):
            raise ValueError(f"missing must be 'zeros' or 'error', got {missing!r}")
        self.classes = tuple(classes)
        self.missing = missing
        self.image_key = image_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Replace each dict of paths by a tensor."""
        loaded = dict(data)
        for key in self.key_iterator(loaded):
            image = loaded[self.image_key]
            masks = np.zeros((len(self.classes), *image.shape[-2:]), dtype=np.uint8)
            for channel, name in zip(masks, self.classes, strict=True):
                try:
                    self._load(loaded[key], name, channel)
                except RadiographReadError as error:
                    raise RadiographReadError(f"key {key!r}, class {name!r}: {error}") from error
            affine = image.affine if isinstance(image, MetaTensor) else None
            loaded[key] = MetaTensor(torch.from_numpy(masks), affine=affine)
        return loaded

    def _load(self, paths: Mapping[str, str], name: str, channel: np.ndarray) -> None:
        if name not in paths:
            if self.missing == "error":
                raise RadiographReadError("the item has no mask of this class. Add one, or load with missing='zeros'")
            return
        channel[...] = read_mask(paths[name], channel.shape)


def read_mask(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read a mask file as bool [H, W], True inside.

    Args:
        path: PNG or NIfTI file.
        shape: (H, W) of its image.

    Raises:
        RadiographReadError: naming file, reason and mend.
    """
    inside = _inside(path)
    if inside.shape != shape:
        found, wanted = (f"{rows} x {columns}" for rows, columns in (inside.shape, shape))
        raise RadiographReadError(
            f"{path}: {found} pixels (rows x columns), but the image has {wanted}. Draw it on that image"
        )
    return inside


def _inside(path: str) -> np.ndarray:
    content = inflate(read_file(path), str(path))
    kind = file_type(content, str(path))
    if kind == "nifti":
        return open_nifti(content, str(path))[0] != 0
    if kind != "png":
        raise RadiographReadError(f"{path}: a {kind.upper()} mask, but a mask is a PNG or NIfTI file. Save it as PNG")
    picture = open_picture(content, str(path))
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        picture = picture.convert("RGBA").convert("RGBa")  # premultiplied: what is transparent becomes black
        inside = np.asarray(picture)[..., :3] != 0
    else:
        inside = np.asarray(picture.convert("RGB") if picture.mode == "P" else picture) != 0
    return np.logical_or.reduce(inside, axis=-1) if inside.ndim == 3 else inside


LoadMaskD = LoadMaskDict = LoadMaskd
