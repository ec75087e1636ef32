# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Dice and focal loss of DCXFM's second stage against the official code, over every reference file there is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from radbundles.losses import DenseLoss

GOLDEN = Path(os.environ.get("RADBUNDLES_GOLDEN", Path(__file__).resolve().parents[3] / "shared" / "golden"))
FILES = sorted(GOLDEN.glob("dcxfm_?.npz"))


def test_there_are_reference_files(golden_dir: Path) -> None:
    if not FILES:
        pytest.skip(f"no dcxfm_?.npz in {golden_dir}")
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dense_loss_and_its_gradient_are_official(path: Path) -> None:
    with np.load(path) as file:
        logits, masks, labels, loss = (
            torch.from_numpy(file[f"dense/{key}"]) for key in ("logits", "masks", "labels", "loss")
        )
        meta = json.loads(str(file["meta"]))["dense"]
    ours = DenseLoss()(logits.requires_grad_(), masks, labels)["loss"]
    torch.testing.assert_close(ours.detach(), loss, rtol=1e-5, atol=1e-5)
    gradient = torch.autograd.grad(ours, logits)[0]
    assert [gradient.norm().item()] == pytest.approx(meta["grad_norms"], rel=1e-4)
