# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The image encoder of ECAMP as other networks want one."""

from __future__ import annotations

import torch
from torch import nn

from radbundles.networks.ecamp import ECAMP


class ECAMPEncoder(nn.Module):
    """The vision transformer of a pre-trained ECAMP with what goes before it: the image in, a map of features out.

    Takes the images that ECAMP takes and has the attributes of the encoders of
    :func:`~radbundles.networks.build_encoder`, so that classifiers, segmenters and detectors can be built on it. Unlike
    :class:`~radbundles.networks.ECAMPFeatures`, which copies the transformer for images of any size, it shares the
    parameters of the network.

    Args:
        network: the pre-trained network.

    Attributes:
        out_channels: channels of the features.
        stride: pixels of the image that a cell stands for.
    """

    def __init__(self, network: ECAMP) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.out_channels: int = network.encoder.sizes["dim"]
        self.stride: int = 2 * network.encoder.patch_embed.patch_size
        # As ECAMP.halve: bicubic without antialiasing (Q11).
        self.halve = nn.Upsample(size=network.encoder.image_size, mode="bicubic", align_corners=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode normalized images [B, 3, S, S] as maps [B, out_channels, rows, columns].

        Raises:
            ValueError: if the image has another size than that of ECAMP.
        """
        side = 2 * self.encoder.image_size
        if image.shape[1:] != (3, side, side):
            raise ValueError(f"expected an image [B, 3, {side}, {side}], got {tuple(image.shape)}")
        tokens: torch.Tensor = self.encoder(self.halve(image))  # -> [B, 1 + N, dim]
        return tokens[:, 1:].transpose(1, 2).unflatten(2, self.encoder.grid)
