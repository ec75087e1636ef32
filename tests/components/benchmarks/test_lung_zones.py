# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of lung zones on made films in the layout of the collection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radbundles.components.benchmarks.lung_zones import SCORES, measure

READINGS = ("normal", "ptb in the right upper field", "bilateral ptb", "left ptb")


def collection(folder: Path, *, films: int = 60, size: int = 64) -> Path:
    """Write films of two gray lungs, each of a patient, with a reading and a mask."""
    rng = np.random.default_rng(0)
    lungs = np.zeros((size, size), dtype=bool)
    lungs[12:52, 8:26] = lungs[12:52, 38:56] = True
    Image.fromarray(lungs).save(folder / "lungs.png")
    rows = []
    for number in range(films):
        name = f"film{number}.png"
        pixels = np.where(lungs, 60, 160) + rng.integers(0, 40, (size, size))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        rows.append(
            {
                "id": f"film{number}",
                "source": "montgomery",
                "patient": f"p{number}",
                "image": name,
                "size": [size, size],
                "view": "PA",
                "modality": "CXR",
                "text": [{"kind": "radiologist_reading", "text": READINGS[number % len(READINGS)]}],
                "labels": {"tuberculosis": int(number % len(READINGS) > 0)},
                "masks": {"lungs": "lungs.png"},
                "boxes": [],
                "licence": "made for a test",
                "tier": "open",
            }
        )
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_trained_untrained_and_box_are_judged_on_the_same_zones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "data").mkdir()
    small = {"batch_size": 8, "num_workers": 0, "image_size": 48, "local_size": 24}
    figures = measure(collection(tmp_path / "data"), out, epochs=1, **small)
    assert figures == json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert figures["phrases"] == 8 * figures["images"] > 0 and len(figures["zones"]) == 8
    assert figures["trained"] != figures["untrained"]
    for method in ("trained", "untrained", "centered box", "trained minus box"):
        assert set(figures[method]) == set(SCORES)
    # Two lungs beside the middle: a box in the center holds none of their zones' whole, and points between them.
    assert figures["centered box"]["pointing"][0] == 0 and figures["centered box"]["iou"][0] > 0
    packed = json.loads((out / "packed" / "configs" / "inference.json").read_text(encoding="utf-8"))
    assert packed["image_size"] == small["image_size"] and packed["center_features"] is False
