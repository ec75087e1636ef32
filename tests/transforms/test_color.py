# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Color pictures, such as of the fundus, go through the transforms as gray ones do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from radbundles.transforms import FitRadiographd, LoadRadiographd, RandMaskAugmentd, RandRadiographCropd

GEOMETRY: list[Callable[[], Any]] = [
    lambda: FitRadiographd("image", size=24),
    lambda: RandRadiographCropd("image", size=24).set_random_state(3),
    lambda: RandMaskAugmentd(
        mask_key=None, flip=1, affine_probability=1, jitter_probability=0, noise_probability=0
    ).set_random_state(3),
]


@pytest.mark.parametrize("make", GEOMETRY)
def test_geometry_is_the_same_for_each_channel(make: Callable[[], Any]) -> None:
    """A color image comes out as its channels would one by one."""
    color = MetaTensor(torch.rand(3, 40, 30))
    together = make()({"image": color})["image"]
    single = [make()({"image": color[channel : channel + 1]})["image"][:1] for channel in range(3)]
    torch.testing.assert_close(torch.as_tensor(together), torch.cat([torch.as_tensor(one) for one in single]))


def test_color_picture_from_file_to_network_input(tmp_path: Path) -> None:
    """The colors of the file are those that the network gets; gray files have three equal channels."""
    Image.fromarray(np.full((40, 60, 3), (200, 80, 20), np.uint8)).save(tmp_path / "color.png")
    Image.fromarray(np.full((40, 60), 90, np.uint8)).save(tmp_path / "gray.png")
    steps: list[Callable[..., Any]] = [
        LoadRadiographd("image", color="rgb"),
        FitRadiographd("image", size=32),
        RandMaskAugmentd(mask_key=None, jitter_probability=0, noise_probability=0).set_random_state(0),
    ]
    for name, values in (("color", [200, 80, 20]), ("gray", [90, 90, 90])):
        sample: dict[str, Any] = {"image": str(tmp_path / f"{name}.png")}
        for step in steps:
            sample = step(sample)
        assert sample["image"].shape == (3, 32, 32)
        torch.testing.assert_close(sample["image"][:, 16, 16], torch.tensor(values) / 255)
