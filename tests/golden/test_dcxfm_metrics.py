# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Grounding scores against the official means, and against a slow second implementation, over every reference file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from radbundles.components.metrics import PROTOCOLS, bootstrap_interval, grounding_scores

GOLDEN = Path(os.environ.get("RADBUNDLES_GOLDEN", Path(__file__).resolve().parents[3] / "shared" / "golden"))
FILES = sorted(GOLDEN.glob("dcxfm_seg_metrics*.npz"))
# Means that the official code gave for the one file that does not hold them.
KNOWN = {"dcxfm_seg_metrics": {"iou": 0.18747, "dice": 0.31472, "pointing": 0.16667}}
# The maps of the files are on the scale of -1 to 1 already, and the official kernel took them as they are.
AS_STORED = replace(PROTOCOLS["dcxfm"], scale="cosine")
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)

pytestmark = pytest.mark.skipif(not FILES, reason="no dcxfm_seg_metrics*.npz: set RADBUNDLES_GOLDEN to their folder")
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, float]]:
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    meta: dict[str, Any] = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
    known = KNOWN.get(path.stem, {}) | {name: meta[name] for name in ("iou", "dice", "pointing") if name in meta}
    return arrays["pred"][:, 0], arrays["gt"][:, 0] > 0, arrays["lab"], known


def slow(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """The rule in words, pixel sets by pixel sets."""
    inside = {tuple(place) for place in np.argwhere(mask)}
    iou, dice = [], []
    for threshold in THRESHOLDS:
        found = {tuple(place) for place in np.argwhere(image >= np.float32(threshold))}
        iou.append(len(found & inside) / len(found | inside) if found | inside else 1.0)
        dice.append(2 * len(found & inside) / (len(found) + len(inside)) if found or inside else 1.0)
    peak = {tuple(place) for place in np.argwhere(image == image.max())}
    return {"iou": float(np.mean(iou)), "dice": float(np.mean(dice)), "pointing": float(bool(peak & inside))}


@every_file
def test_means_over_classes_are_the_official_ones(path: Path) -> None:
    maps, masks, classes, known = read(path)
    scores = grounding_scores(torch.from_numpy(maps), torch.from_numpy(masks), AS_STORED)
    means = {
        name: bootstrap_interval(values, groups=classes.tolist(), statistic="class_mean", resamples=1).estimate
        for name, values in scores.items()
    }
    for name, value in known.items():
        assert means[name] == pytest.approx(value, abs=5e-6)


@every_file
@pytest.mark.parametrize("stretched", [False, True])
def test_each_sample_is_scored_as_the_slow_implementation_does(path: Path, stretched: bool) -> None:
    maps, masks, _, _ = read(path)
    scores = grounding_scores(
        torch.from_numpy(maps), torch.from_numpy(masks), PROTOCOLS["dcxfm"] if stretched else AS_STORED
    )
    if stretched:
        low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
        maps = 2 * (maps - low) / (high - low) - 1
    expected = [slow(image, mask) for image, mask in zip(maps, masks, strict=True)]
    for name in ("iou", "dice", "pointing"):
        np.testing.assert_allclose(scores[name].numpy(), [entry[name] for entry in expected], rtol=0, atol=1e-12)
