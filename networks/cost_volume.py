# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Similarity of every place of an image with every prompt."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def cost_volume(cells: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """Cosine of every cell with every prompt of every class.

    Source: DCXFM, stage 2; Cho et al., "CAT-Seg", CVPR 2024, section 3.2.

    Args:
        cells: of images, [B, D, h, w]; need not have length 1.
        prompts: of classes, [T, C, D], or those of each image, [B, T, C, D]; need not have length 1.

    Returns:
        [B, T, C, h, w] from -1 to 1; float32 also under autocast, where half of the digits would be lost.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    if cells.ndim != 4 or prompts.ndim not in (3, 4) or cells.shape[1] != prompts.shape[-1]:
        raise ValueError(
            f"cells [B, D, h, w] and prompts [T, C, D] or [B, T, C, D] are needed, got {tuple(cells.shape)} and "
            f"{tuple(prompts.shape)}"
        )
    if prompts.ndim == 4 and prompts.shape[0] != cells.shape[0]:
        raise ValueError(f"{prompts.shape[0]} sets of prompts do not fit {cells.shape[0]} images")
    with torch.autocast(cells.device.type, enabled=False):
        places = F.normalize(cells.float(), dim=1).flatten(2)  # [B, D, hw]
        texts = F.normalize(prompts.float(), dim=-1).flatten(-3, -2)  # [T C, D] or [B, T C, D]
        return (texts @ places).unflatten(2, cells.shape[2:]).unflatten(1, prompts.shape[-3:-1])
