# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A small picture of an image in its own proportions, to draw on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from PIL import Image


class PreviewRadiographd(MapTransform):
    """Add a small picture of an image before it is fitted into the network's square.

    Args:
        keys: key of the image in [0, 1], gray [1, H, W] or in color [3, H, W]; one.
        preview_key: gets the picture, uint8 [h, w] or [h, w, 3].
        size: longest side in pixels; a smaller image stays as it is.

    Raises:
        ValueError: if there are several keys, or size is below 1.
    """

    def __init__(self, keys: KeysCollection, *, preview_key: str = "preview", size: int = 1024) -> None:
        super().__init__(keys)
        if len(self.keys) != 1 or size < 1:
            raise ValueError(f"one key and a size of 1 or more, got {self.keys} and {size}")
        self.preview_key = preview_key
        self.size = size

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Add the picture."""
        image = np.asarray(data[self.keys[0]], dtype=np.float32)
        values = image[0] if len(image) == 1 else np.moveaxis(image, 0, 2)
        picture = Image.fromarray(np.rint(values.clip(0, 1) * 255).astype(np.uint8))
        picture.thumbnail((self.size, self.size), Image.Resampling.BOX)
        return {**data, self.preview_key: np.asarray(picture)}
