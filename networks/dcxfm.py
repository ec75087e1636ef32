# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The network of DCXFM."""

from __future__ import annotations

import torch
from torch import nn

from radbundles.networks.image_tower import ImageTower
from radbundles.networks.text_tower import TextTower


class DCXFM(nn.Module):
    """Image and text towers with one space: what stage 1 of DCXFM trains and zero-shot use needs.

    Source: Wang and Yu, "Scaling Chest X-ray Foundation Models from Mixed Supervisions for Dense Prediction", IEEE TMI
    2025, doi 10.1109/tmi.2025.3589928; official ``pretrain_sdmp.py``. Teacher and heads belong to the training and
    live in :class:`~radbundles.losses.DCXFMObjective`.

    The published sizes::

        DCXFM(ImageTower(ResNetEncoder(50)), TextTower(load_text_encoder(folder of CXR-BERT-general)))

    Args:
        image: cells of an image, [B, C, H, W] -> [B, dim, h, w].
        text: words and sentences, each of the same width.

    Raises:
        ValueError: if the towers have different widths.
    """

    def __init__(self, image: ImageTower, text: TextTower) -> None:
        super().__init__()
        widths = image.projection.out_features, text.projection.out_features
        if widths[0] != widths[1]:
            raise ValueError(f"the towers must share one width, got {widths[0]} (image) and {widths[1]} (text)")
        self.image = image
        self.text = text

    @property
    def dim(self) -> int:
        """Width of the shared space."""
        return self.image.projection.out_features

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Embed the cells of images [B, C, H, W] -> [B, dim, h, w]; their mean embeds the image."""
        return self.image(image)

    def encode_text(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, word_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed sentences, each argument [N, L] -> words [N, L, dim] and sentences [N, dim]."""
        return self.text(input_ids, attention_mask, word_mask)
