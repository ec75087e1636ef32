# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From datalists on disk to batches, with what real collections bring along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose
from PIL import Image

from radbundles.components.data import (
    MaskItems,
    MixedSampler,
    SeededDataset,
    collate_masks,
    load_mask_sources,
    write_datalist,
)
from radbundles.transforms import FitRadiographd, LoadRadiographd, LoadTargetsd, RandMaskAugmentd

CLASSES = ["Lung", "Nodule"]
SHAPE = (40, 60)


def save(path: Path, *inside: tuple[slice, slice]) -> str:
    pixels = np.zeros(SHAPE, np.uint8)
    for window in inside:
        pixels[window] = 255
    Image.fromarray(pixels).save(path)
    return path.name


@pytest.fixture
def sources(tmp_path: Path) -> list[dict[str, Any]]:
    """Six films with both lungs, in two masks; three with boxes of nodules, one without finding."""
    halves = (slice(6, 34), slice(4, 24)), (slice(6, 34), slice(36, 56))
    image = save(tmp_path / "lungs.png", *halves)
    masks = {"left lung": save(tmp_path / "left.png", halves[1]), "right lung": save(tmp_path / "right.png", halves[0])}
    write_datalist(
        tmp_path / "lungs.json", [("training", {"id": f"lung-{n}", "image": image, "masks": masks}) for n in range(6)]
    )
    boxes: list[dict[str, Any]] = [{"boxes": {"nodule": [[10, 10, 20, 20]]}} for _ in range(3)]
    write_datalist(
        tmp_path / "boxes.jsonl",
        [("training", {"id": f"box-{n}", "image": image, **item}) for n, item in enumerate([*boxes, {}])],
    )
    names = {"left lung": "Lung", "right lung": "Lung"}
    return [
        {"name": "lungs", "datalist": tmp_path / "lungs.json", "classes": ["Lung"], "names": names, "weight": 2},
        {
            "name": "boxes",
            "datalist": tmp_path / "boxes.jsonl",
            "classes": ["Nodule"],
            "names": {"nodule": "Nodule"},
        },
    ]


def loader(items: MaskItems, workers: int = 0, **augmentation: float) -> DataLoader:
    load = Compose([LoadRadiographd("image"), FitRadiographd("image", size=30), LoadTargetsd(CLASSES)])
    still: dict[str, Any] = {"affine_probability": 0, "jitter_probability": 0, "noise_probability": 0}
    dataset = SeededDataset(
        CacheDataset(items, load, progress=False, num_workers=1), RandMaskAugmentd(**{**still, **augmentation}), seed=5
    )
    sampler = MixedSampler(items.counts, weights=items.weights, batch_size=3, seed=5)
    return DataLoader(dataset, batch_size=3, sampler=sampler, collate_fn=collate_masks, num_workers=workers)


def test_batches_hold_every_class_under_its_own_name(sources: list[dict[str, Any]]) -> None:
    items = load_mask_sources(sources, "training", CLASSES)
    seen: set[str] = set()
    for batch in loader(items):
        assert sorted(batch["source"]) == ["boxes", "lungs", "lungs"]
        for name, image, masks, labels in zip(
            batch["id"], batch["image"], batch["masks"], batch["labels"].tolist(), strict=True
        ):
            seen.add(name)
            if name.startswith("lung"):
                assert labels == [1, -1]
                inside = image[0] > 0.5  # the film shows its lungs
                assert torch.equal(masks[0] > 0, inside) and inside.any() and not masks[1].any()
            elif name == "box-3":
                assert labels == [-1, 0] and not masks.any()
            else:
                assert labels == [-1, 1] and not masks[0].any()
                assert masks[1].nonzero().aminmax(dim=0).min.tolist() == [10, 5]  # padding of 5 rows above
                assert masks[1].sum() == 25
    assert len(seen) >= 8


def test_batches_are_the_same_in_worker_processes(sources: list[dict[str, Any]]) -> None:
    items = load_mask_sources(sources, "training", CLASSES)
    everything = {"affine_probability": 1.0, "jitter_probability": 1.0, "noise_probability": 1.0, "flip": 0.5}
    alone, shared = (list(loader(items, workers, **everything)) for workers in (0, 2))
    assert len(alone) == len(shared) == 3
    for one, other in zip(alone, shared, strict=True):
        assert one["id"] == other["id"]
        for key in ("image", "masks", "labels"):
            assert torch.equal(one[key], other[key])


def test_a_batch_in_which_nothing_is_present(sources: list[dict[str, Any]], tmp_path: Path) -> None:
    write_datalist(tmp_path / "healthy.json", [("training", {"id": f"h-{n}", "image": "lungs.png"}) for n in range(3)])
    healthy = {"name": "healthy", "datalist": tmp_path / "healthy.json", "classes": CLASSES, "negatives": True}
    (batch,) = loader(load_mask_sources([healthy], "training", CLASSES))
    assert batch["masks"].shape == (3, 2, 30, 30) and not batch["masks"].any()
    assert batch["labels"].tolist() == [[0, 0]] * 3
