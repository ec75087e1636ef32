# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
import torch.nn.functional as F

from radbundles.networks import SuperResolutionHead


def test_head_without_residual_doubles_bilinearly() -> None:
    head, image = SuperResolutionHead(), torch.randn(2, 3, 4, 6)
    with torch.no_grad():
        for parameter in head.conv2.parameters():
            parameter.zero_()
    expected = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(head(image), expected)


def test_final_relu_alone_forbids_negative_pixels() -> None:
    torch.manual_seed(0)
    free, official = SuperResolutionHead(), SuperResolutionHead(final_relu=True)
    official.load_state_dict(free.state_dict())
    image = torch.randn(1, 3, 8, 8)
    assert free(image).min() < 0
    torch.testing.assert_close(official(image), free(image).relu())


def test_head_has_168_parameters() -> None:
    assert sum(parameter.numel() for parameter in SuperResolutionHead().parameters()) == 168
