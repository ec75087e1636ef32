# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from radbundles.networks import UpsamplingDecoder


def decoder(**options: Any) -> UpsamplingDecoder:
    torch.manual_seed(0)
    return UpsamplingDecoder(8, **options)


def written_out(module: UpsamplingDecoder, x: torch.Tensor, guidance: list[torch.Tensor]) -> torch.Tensor:
    """The decoder on maps and guidance that are truly joined."""
    for step, joined in zip((module.step1, module.step2), guidance, strict=True):
        x = torch.cat([step.up(x), joined], 1)
        for conv, norm in ((step.conv1, step.norm1), (step.conv2, step.norm2)):
            x = F.conv2d(x, conv.weight, padding=1)
            x = F.relu(F.group_norm(x, x.shape[1] // 16, norm.weight, norm.bias))
    return module.head(x)


def test_logits_are_four_times_finer() -> None:
    assert decoder()(torch.randn(3, 8, 5, 7)).shape == (3, 1, 20, 28)


def test_guidance_of_an_image_is_joined_to_each_of_its_maps() -> None:
    module = decoder(widths=(48, 32), guidance_dims=(3, 5))
    x, guidance = torch.randn(6, 8, 5, 4), [torch.randn(2, 3, 10, 8), torch.randn(2, 5, 20, 16)]
    expected = written_out(module, x, [each.repeat_interleave(3, 0) for each in guidance])
    torch.testing.assert_close(module(x, guidance), expected, atol=1e-5, rtol=1e-5)


def test_one_step_alone_may_be_guided() -> None:
    module = decoder(guidance_dims=(0, 5))
    x, guidance = torch.randn(2, 8, 5, 4), torch.randn(2, 5, 20, 16)
    expected = written_out(module, x, [torch.zeros(2, 0, 10, 8), guidance])
    torch.testing.assert_close(module(x, (None, guidance)), expected, atol=1e-5, rtol=1e-5)


def test_logits_are_float32_under_autocast() -> None:
    module, x = decoder(), torch.randn(3, 8, 5, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = module(x)
    assert logits.dtype == torch.float32
    assert (logits != logits.bfloat16()).any()
    torch.testing.assert_close(logits, module(x), atol=0.05, rtol=0.05)


def test_guidance_that_is_missing_or_not_wanted_is_refused() -> None:
    x = torch.randn(1, 8, 2, 2)
    with pytest.raises(ValueError, match="takes 3 channels of guidance, but none was given"):
        decoder(guidance_dims=(3, 0))(x)
    with pytest.raises(ValueError, match="takes 0 channels of guidance, but some was given"):
        decoder()(x, (x, None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (32, 8)}, "16 or more channels, in groups of about 16, got 8"),
        ({"widths": (49, 16)}, "got 49"),
        ({"widths": (32,)}, r"two steps, got the widths \[32\]"),
        ({"guidance_dims": (8, 0)}, "8 channels leaves none of 8"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoder(**options)
