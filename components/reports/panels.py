# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What ECAMP made of one image, as pictures for a page and for MONAI's TensorBoard handler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.utils import CommonKeys as Keys

from radbundles.components.metrics.regions import MEAN, STD, to_display, under_mask

__all__ = ["PanelStrip", "image_panels", "no_images"]

REMOVED = 0.15  # gray of a removed patch: darker than the lung, lighter than the frame


def image_panels(
    output: Mapping[str, Any],
    *,
    index: int = 0,
    mean: float | Sequence[float] = MEAN,
    std: float | Sequence[float] = STD,
) -> dict[str, np.ndarray]:
    """Masked input, reconstruction, super-resolution and original of one sample.

    The reconstruction has the visible patches pasted in from the input, on which the network had no loss.

    Args:
        output: what the evaluator put out: the batch under ``image``, the result of the objective under ``pred``.
        index: sample of the batch.
        mean: mean of the normalization, one value or one per channel.
        std: standard deviation of the normalization, one value or one per channel.

    Returns:
        Column head -> float32 array [H, W, 3] in [0, 1]; the first two have the size of ``target``, the others that of
        the image.
    """
    pred, one = output[Keys.PRED], slice(index, index + 1)
    images = (pred["target"], pred["reconstruction"], pred["super_resolution"], output[Keys.IMAGE]["image"])
    target, made, fine, original = (to_display(image[one].detach(), mean=mean, std=std) for image in images)
    removed = under_mask(pred["mask"][one], target.shape[-1])
    panels = {
        "Masked input": target.masked_fill(removed, REMOVED),
        "Reconstruction": torch.where(removed, made, target),
        "Super-resolution": fine,
        "Original": original,
    }
    return {name: panel[0].permute(1, 2, 0).cpu().numpy() for name, panel in panels.items()}


class PanelStrip:
    """Output transform of ``monai.handlers.TensorBoardImageHandler``: the panels of one sample side by side.

    In a config::

        {"_target_": "TensorBoardImageHandler", "log_dir": "...", "max_channels": 3,
         "batch_transform": "$radbundles.components.reports.no_images",
         "output_transform": {"_target_": "radbundles.components.reports.PanelStrip"}}

    Args:
        index: sample of the batch; leave the handler's own ``index`` at 0.
        mean: mean of the normalization, one value or one per channel.
        std: standard deviation of the normalization, one value or one per channel.
    """

    def __init__(
        self, index: int = 0, *, mean: float | Sequence[float] = MEAN, std: float | Sequence[float] = STD
    ) -> None:
        self.index, self.mean, self.std = index, mean, std

    def __call__(self, output: Mapping[str, Any]) -> np.ndarray:
        """Make an array [1, 3, S, 4 S], S the side of the image; smaller panels are enlarged by whole pixels."""
        panels = image_panels(output, index=self.index, mean=self.mean, std=self.std)
        side = len(panels["Original"])
        scaled = (panel.repeat(side // len(panel), 0).repeat(side // len(panel), 1) for panel in panels.values())
        return np.concatenate(list(scaled), axis=1).transpose(2, 0, 1)[None]


def no_images(batch: object) -> tuple[list[None], list[None]]:
    """Batch transform of ``TensorBoardImageHandler`` that leaves out the batch: the strip holds the original."""
    return [None], [None]
