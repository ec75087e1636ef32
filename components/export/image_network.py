# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What of a bundle is exported: a network of images alone, and images that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from radbundles.components.export.asked_network import AskedAggregation, AskedTowers
from radbundles.components.zero_shot import DenseZeroShot, ZeroShotInferer

if TYPE_CHECKING:
    from monai.bundle import ConfigParser


def image_network(parser: ConfigParser) -> tuple[nn.Module, torch.Tensor]:
    """Return the network of an inference config, with its question built in if it is asked in words.

    Args:
        parser: of the config, whose ``network`` has its weights.

    Returns:
        The network in eval mode, and three random images in the range of the metadata, [3, C, S, S].
    """
    network: nn.Module = parser.get_parsed_content("network").eval()
    image = parser.get_parsed_content("_meta_#network_data_format#inputs#image")
    size = parser.get_parsed_content("image_size", default=image["spatial_shape"][-1])
    channels = parser.get_parsed_content("channels", default=image["num_channels"])
    low, high = image["value_range"] or (0, 1)
    example = torch.rand(3, channels, size, size, generator=torch.Generator().manual_seed(0)) * (high - low) + low
    inferer = parser.get_parsed_content("inferer", default=None)
    if not isinstance(inferer, ZeroShotInferer):
        return network, example
    asked = AskedAggregation(inferer) if isinstance(inferer.zero_shot, DenseZeroShot) else AskedTowers(inferer, size)
    return asked.eval(), example
