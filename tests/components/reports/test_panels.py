# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Panels of a sample, and MONAI's TensorBoard handler fed with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.handlers import TensorBoardImageHandler
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from radbundles.components.reports import PanelStrip, image_panels, no_images


@pytest.fixture
def output() -> dict[str, Any]:
    """Two samples, 8-pixel target in 2 x 2 patches, 16-pixel image, mean 0.5 and standard deviation 1."""
    torch.manual_seed(0)
    made = {"reconstruction": torch.zeros(2, 3, 8, 8), "super_resolution": torch.full((2, 3, 16, 16), 0.25)}
    mask = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1.0]])
    pred = {"target": torch.full((2, 3, 8, 8), 0.4), "mask": mask, **made}
    return {"image": {"image": torch.randn(2, 3, 16, 16)}, "pred": pred}


def test_removed_patches_are_dark_in_one_panel_and_made_in_the_next(output: dict[str, Any]) -> None:
    panels = image_panels(output, index=1, mean=0.5, std=1.0)
    assert list(panels) == ["Masked input", "Reconstruction", "Super-resolution", "Original"]
    masked, made = panels["Masked input"], panels["Reconstruction"]
    assert np.allclose(masked[4:, 4:], 0.15) and np.allclose(made[4:, 4:], 0.5)
    for panel in (masked, made):
        assert np.allclose(panel[:4], 0.9) and np.allclose(panel[4:, :4], 0.9)
    assert np.allclose(panels["Super-resolution"], 0.75)
    expected = (output["image"]["image"][1] + 0.5).clamp(0, 1).permute(1, 2, 0)
    assert np.allclose(panels["Original"], expected)


def test_strip_lies_side_by_side_and_reaches_tensorboard(output: dict[str, Any], tmp_path: Path) -> None:
    strip = PanelStrip(mean=0.5, std=1.0)
    assert strip(output).shape == (1, 3, 16, 64)
    assert np.allclose(strip(output)[0, :, :8, :8], 0.15)
    engine = Engine(lambda engine, batch: output)
    TensorBoardImageHandler(
        log_dir=str(tmp_path), max_channels=3, batch_transform=no_images, output_transform=strip
    ).attach(engine)
    engine.run([0], max_epochs=2)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["images"] == ["output_CHW"]
    images = events.Images("output_CHW")
    assert [(image.step, image.height, image.width) for image in images] == [(1, 16, 64), (2, 16, 64)]
