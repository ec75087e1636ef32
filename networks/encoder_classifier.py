# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Classes of an image out of the features of an encoder."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn


class EncoderClassifier(nn.Module):
    """The mean of the cells of an encoder, a layer normalization and one linear layer.

    Source: fine-tuning of ECAMP: the class token is not used, the normalization is new, the linear layer starts near
    zero. With ViT-B/16 and 14 classes there are 85.81 million parameters.

    A linear probe (``trained="head"``) trains the linear layer alone. Deviation from the official code: the encoder
    then stays in evaluation mode, so that neither drop path nor batch statistics change features that nothing can
    adapt (and the shipped script of the linear probe fine-tunes, quirk Q29).

    Args:
        encoder: [B, C, H, W] -> [B, out_channels, h, w], with the attribute ``out_channels``.
        num_classes: number of logits.
        dropout: before the linear layer.
        trained: "all", or "head" for a linear probe.

    Raises:
        ValueError: if there is no class, or trained is neither.
    """

    def __init__(
        self,
        encoder: nn.Module,
        num_classes: int,
        *,
        dropout: float = 0.0,
        trained: Literal["all", "head"] = "all",
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, got {num_classes}")
        if trained not in ("all", "head"):
            raise ValueError(f'trained must be "all" or "head", got {trained!r}')
        width: int = encoder.out_channels  # type: ignore[assignment]
        self.trained = trained
        self.encoder = encoder
        self.fc_norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=2e-5)
        nn.init.zeros_(self.head.bias)
        if trained == "head":
            self.encoder.requires_grad_(False)
            self.fc_norm.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> EncoderClassifier:
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.trained == "head":
            self.encoder.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [B, num_classes] of normalized images [B, C, H, W]."""
        features = self.encoder(image).flatten(2).mean(2)  # -> [B, out_channels]
        return self.head(self.dropout(self.fc_norm(features)))
