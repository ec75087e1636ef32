# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Maps over the network's square, sampled over the image in it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from radbundles.transforms import FittedFrame


def sample_content(maps: torch.Tensor, frame: FittedFrame, side: int) -> torch.Tensor:
    """Sample maps [N, h, w] over the fitted square on a grid [N, side, side] over the image in it, bilinear."""
    centers = (torch.arange(side, device=maps.device) + 0.5) / side
    across = 2 * (frame.left + centers * frame.columns) / frame.size - 1  # of the square, from -1 to 1
    down = 2 * (frame.top + centers * frame.rows) / frame.size - 1
    places = torch.stack([across.expand(side, side), down[:, None].expand(side, side)], dim=-1)
    with torch.autocast(maps.device.type, enabled=False):
        return F.grid_sample(
            maps[None].float(), places[None].float(), mode="bilinear", padding_mode="border", align_corners=False
        )[0]
