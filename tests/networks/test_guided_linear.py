# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from radbundles.networks.guided_linear import GuidedLinear


def test_guidance_counts_as_if_it_were_joined() -> None:
    torch.manual_seed(0)
    layer = GuidedLinear(4, 3, 5)
    x, guidance = torch.randn(2, 7, 4), torch.randn(2, 1, 3)
    joined = torch.cat([x, guidance.expand(-1, 7, -1)], -1)
    torch.testing.assert_close(layer(x, guidance), F.linear(joined, layer.weight, layer.bias))


def test_without_guidance_it_is_a_linear_layer() -> None:
    layer, x = GuidedLinear(4, 0, 5), torch.randn(2, 4)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))


def test_guidance_that_is_missing_or_not_wanted_is_refused() -> None:
    x = torch.randn(2, 4)
    with pytest.raises(ValueError, match="guidance of the width 3, but none was given"):
        GuidedLinear(4, 3, 5)(x)
    with pytest.raises(ValueError, match="guidance of the width 0, but some was given"):
        GuidedLinear(4, 0, 5)(x, x)
