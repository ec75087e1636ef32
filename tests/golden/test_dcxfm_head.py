# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The projection head against the official code, over every reference file there is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from radbundles.networks import DINOHead

GOLDEN = Path(os.environ.get("RADBUNDLES_GOLDEN", Path(__file__).resolve().parents[3] / "shared" / "golden"))
FILES = sorted(GOLDEN.glob("dcxfm_?.npz"))

pytestmark = pytest.mark.skipif(not FILES, reason="no dcxfm_?.npz: set RADBUNDLES_GOLDEN to the reference tensors")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_head_gives_the_official_logits(path: Path) -> None:
    with np.load(path) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key.startswith("head/")}
    state = {key.removeprefix("head/sd/"): value for key, value in arrays.items() if key.startswith("head/sd/")}
    # The official head has a second last layer that nothing uses.
    state = {key: value for key, value in state.items() if not key.startswith("last_layer2.")}
    hidden, width = state["mlp.0.weight"].shape
    prototypes, bottleneck = state["last_layer.weight_v"].shape
    head = DINOHead(in_dim=width, hidden_dim=hidden, bottleneck_dim=bottleneck, out_dim=prototypes)
    head.load_state_dict(state)  # torch itself knows the older names of a weight norm
    torch.testing.assert_close(head(arrays["head/in"]), arrays["head/out"], atol=1e-5, rtol=1e-5)
