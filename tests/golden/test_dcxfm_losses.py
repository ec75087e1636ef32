# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The losses of DCXFM's first stage against the official code, over every reference file there is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from radbundles.losses import (
    DCXFMObjective,
    SelfDistillationLoss,
    SoftContrastLoss,
    WordRegionLoss,
    official_word_mask,
    word_region_attention,
    word_region_similarity,
)

GOLDEN = Path(os.environ.get("RADBUNDLES_GOLDEN", Path(__file__).resolve().parents[3] / "shared" / "golden"))
PARTS = sorted(GOLDEN.glob("dcxfm_?.npz"))
STAGES = sorted(GOLDEN.glob("dcxfm_stage1_losses*.npz"))

every_part = pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
every_stage = pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)


def test_there_are_reference_files(golden_dir: Path) -> None:
    if not PARTS and not STAGES:
        pytest.skip(f"no dcxfm_?.npz in {golden_dir}")
    assert PARTS and STAGES


def load(path: Path, part: str = "") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with np.load(path) as file:
        tensors = {key.removeprefix(part): torch.from_numpy(file[key]) for key in file.files if key != "meta"}
        meta = json.loads(str(file["meta"])) if "meta" in file.files else {}
    return tensors, meta.get(part.rstrip("/"), {})


def assert_near(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual.detach().to(expected.dtype), expected, rtol=1e-5, atol=1e-5)


def assert_gradient_norms(loss: torch.Tensor, inputs: list[torch.Tensor], expected: list[float]) -> None:
    gradients = torch.autograd.grad(loss, inputs)
    assert [gradient.norm().item() for gradient in gradients] == pytest.approx(expected, rel=1e-4)


@every_part
def test_word_region_loss_is_official(path: Path) -> None:
    golden, meta = load(path, "local/")
    cells = golden["patch"].requires_grad_()
    words = golden["words"].mT.contiguous().requires_grad_()  # [B, L, D]
    word_mask = torch.arange(words.shape[1]) < golden["cap_lens"][:, None]
    similarity = word_region_similarity(cells, words, word_mask)
    own = torch.arange(len(cells))
    both = torch.stack([F.cross_entropy(similarity, own), F.cross_entropy(similarity.T, own)])
    assert_near(both, golden["loss"])
    loss = WordRegionLoss()(cells, words, word_mask)
    assert_near(loss, golden["loss"].mean())
    assert_gradient_norms(loss, [cells, words], meta["grad_norms"])


@every_part
def test_attention_of_the_words_is_official(path: Path) -> None:
    golden, _ = load(path, "local/")
    words = golden["words"].mT
    word_mask = torch.arange(words.shape[1]) < golden["cap_lens"][:, None]
    attention = word_region_attention(golden["patch"], words, word_mask)
    assert_near(attention[0, word_mask[0]], golden["attention_0"])


@every_part
def test_soft_contrast_is_official(path: Path) -> None:
    golden, meta = load(path, "soft/")
    image, text = golden["image_embed"].requires_grad_(), golden["text_embed"].requires_grad_()
    for double in (False, True):
        loss = SoftContrastLoss(double=double)(image, text, golden["image_labels"], golden["text_labels"])
        assert_near(loss, golden["loss"])
        assert_gradient_norms(loss, [image, text], meta["grad_norms"])


@every_part
def test_hard_contrast_is_official(path: Path) -> None:
    golden, _ = load(path, "soft/")
    assert_near(SoftContrastLoss(targets="identity")(golden["image_embed"], golden["text_embed"]), golden["clip_loss"])


@every_part
def test_self_distillation_and_its_center_are_official(path: Path) -> None:
    golden, meta = load(path, "distill/")
    students = [golden["student_global"].requires_grad_(), golden["student_local"].requires_grad_()]
    objective = SelfDistillationLoss(dim=golden["center"].shape[1]).train()
    objective.center.copy_(golden["center"])
    loss = objective(golden["teacher"], torch.cat(students))
    assert_near(loss, golden["loss"])
    assert_near(objective.center, golden["new_center"])
    assert_gradient_norms(loss, students, meta["grad_norms"])


@every_stage
def test_whole_first_stage_is_official(path: Path) -> None:
    golden, _ = load(path)
    B = int(golden["B"])
    length = golden["words"].shape[2]
    counts = golden["caps"].view(B, 2)
    # What the official total is made of: the weights of the published command, which are the defaults.
    weights = DCXFMObjective(nn.ModuleDict({"image": nn.Identity(), "text": nn.Identity()}), head=nn.Identity()).weights

    def views(name: str) -> torch.Tensor:
        """Rows item by item -> crop by crop [V, B, ...]."""
        return golden[name].unflatten(0, (B, -1)).transpose(0, 1)

    crops = views("patch_g")  # [G, B, N, D]
    cells = crops.flatten(0, 1).mT
    words = golden["words"][:, 0]  # the first sentence
    word_region = WordRegionLoss()(cells, words, official_word_mask(counts, length))
    # The file holds the word-region losses as they enter the total.
    assert_near(weights["word_region"] * word_region, golden["local_loss"])
    position = torch.arange(length)
    own_words = (position >= 1) & (position <= counts[:, :1])
    assert_near(weights["word_region"] * WordRegionLoss()(cells, words, own_words), golden["local_loss_mended"])

    loss = SoftContrastLoss(double=True)
    labels = golden["li"], golden["lt"]
    contrast = torch.stack([loss(crop, golden["text"][:, 0], *labels) for crop in crops.mean(2)]).mean()
    assert contrast.dtype == torch.float64
    assert_near(contrast, golden["cont_loss"])

    distill = SelfDistillationLoss(dim=golden["center0"].shape[1]).train()
    distill.center.copy_(golden["center0"])
    distillation = distill(views("head_t"), torch.cat([views("head_g"), views("head_l")]))
    assert_near(distillation, golden["distill_loss"])
    assert_near(distill.center, golden["center1"])

    parts = {"contrast": contrast, "word_region": word_region, "distillation": distillation}
    total = torch.stack([weight * parts[name] for name, weight in weights.items()]).sum()
    assert_near(total, golden["loss"])
