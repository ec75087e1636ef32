# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from radbundles.networks import SwinEncoder


def tiny(**options: Any) -> SwinEncoder:
    torch.manual_seed(0)
    return SwinEncoder(dim=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), **options)


@pytest.mark.parametrize(("side", "cells"), [(512, 16), (224, 7), (100, 4)])
def test_features_are_32_times_smaller(side: int, cells: int) -> None:
    encoder = tiny(in_channels=1)
    with torch.no_grad():
        assert encoder(torch.rand(1, 1, side, side)).shape == (1, encoder.out_channels, cells, cells)
    assert encoder.out_channels == 64


def test_default_sizes_are_those_of_swin_t() -> None:
    encoder = SwinEncoder()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 27_519_354  # 28,288,354 less the classifier


def test_every_parameter_is_trained_and_recomputing_gives_the_same_gradients() -> None:
    plain, thrifty = tiny(), tiny(recompute=True)
    image = torch.rand(2, 3, 64, 64)
    for encoder in (plain, thrifty):
        (encoder(image) * torch.linspace(0, 1, 64)[:, None, None]).sum().backward()
    for (name, ours), theirs in zip(plain.named_parameters(), thrifty.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None, name
        torch.testing.assert_close(theirs.grad, ours.grad, msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"depths": (2, 2)}, "depths must be four"), ({"heads": (3, 5, 12, 24)}, "must divide the channels")],
)
def test_impossible_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SwinEncoder(**options)
