# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which anchors of a detector learn which box."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher


class EveryBoxMatcher(ATSSMatcher):
    """MONAI's ATSS matcher, mended so that every box is learned by an anchor.

    Source: Zhang et al., Bridging the Gap Between Anchor-based and Anchor-free Detection via Adaptive Training Sample
    Selection. The anchors nearest to a box on each level are candidates; those whose IoU reaches mean plus standard
    deviation of the candidates are matched. Two deviations from MONAI:

    - MONAI takes no more candidates of a level than it has cells, though a cell has several anchors: of a level with
      one cell, the only one with anchors as large as the image, one arbitrary anchor. Here all of them can be.
    - No candidate may reach the threshold (half of them at one IoU, half at another), and another box may take all
      that do. A box left without an anchor gets the free one that overlaps it most.

    Args:
        num_candidates: cells of each level that are looked at.
    """

    def __init__(self, num_candidates: int = 4) -> None:
        super().__init__(num_candidates, center_in_gt=False)
        self.cells = num_candidates

    def compute_matches(
        self,
        boxes: torch.Tensor,
        anchors: torch.Tensor,
        num_anchors_per_level: Sequence[int],
        num_anchors_per_loc: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Match the boxes of one image.

        Args:
            boxes: [N, 4] x0, y0, x1, y1, at least one.
            anchors: [A, 4].
            num_anchors_per_level: cells of each level (the name is MONAI's).
            num_anchors_per_loc: anchors of a cell.

        Returns:
            IoU [N, A], and for each anchor the index of its box or -1 [A].
        """
        self.num_candidates = self.cells * num_anchors_per_loc
        levels = [cells * num_anchors_per_loc for cells in num_anchors_per_level]
        quality, matches = super().compute_matches(boxes, anchors, levels, 1)
        counts = torch.bincount(matches + 1, minlength=len(boxes) + 1)[1:]
        for box in (counts == 0).nonzero().flatten().tolist():  # rare
            best, anchor = torch.where(matches < 0, quality[box], 0).max(dim=0)
            matches[anchor] = torch.where(best > 0, box, matches[anchor])
        return quality, matches
