# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of the images of a folder, where one bad file does not end the job."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader
from monai.data import Dataset as MonaiDataset
from torch.utils.data import Dataset

logger = logging.getLogger(__name__)
SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".nii", ".nii.gz")


def list_images(folder: str | Path) -> list[dict[str, str]]:
    """Return an item for every image below a folder, sorted; its ``id`` is the path within the folder.

    Images are DICOM, PNG, JPEG and NIfTI files by suffix, and files without a suffix, which archives export DICOM as.

    Raises:
        FileNotFoundError: if there is no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}: give the folder of images as dataset_dir")
    paths = sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and (path.name.lower().endswith(SUFFIXES) or not path.suffix)
        and not path.name.startswith(".")
    )
    if not paths:
        raise FileNotFoundError(f"no image in {root}: looked for {', '.join(SUFFIXES)} and files without a suffix")
    return [{"id": path.relative_to(root).as_posix(), "image": str(path)} for path in paths]


class _Tolerant(Dataset[dict[str, Any]]):
    """A dataset that gives the reason in place of a sample that cannot be made."""

    def __init__(self, dataset: MonaiDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            return dict(self.dataset[index])
        except Exception as error:  # one bad file must not end the job
            cause: BaseException = error
            while cause.__cause__ is not None:  # MONAI wraps what a transform raises
                cause = cause.__cause__
            return {"id": self.dataset.data[index]["id"], "fault": str(cause)}


def _collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    good = [sample for sample in samples if "fault" not in sample]
    batch: dict[str, Any] = {
        "id": [sample["id"] for sample in good],
        "faults": [{"id": sample["id"], "reason": sample["fault"]} for sample in samples if "fault" in sample],
    }
    if good:
        batch["image"] = torch.stack([torch.as_tensor(sample["image"]).as_subclass(torch.Tensor) for sample in good])
    return batch


class ImageBatches:
    """Batches ``{"id": [str], "image": [B, C, H, W]}`` for an evaluator; faults go to a file and the rest goes on.

    It has no length, since a batch without a readable image is left out.

    Args:
        dataset: MONAI dataset whose items have an ``id``, see :func:`list_images`, and whose samples have ``id`` and an
            ``image`` of one size.
        faults: JSON Lines file for what could not be read: id and reason; removed if there is nothing to say.
        batch_size: images at a time.
        num_workers: loading processes.
    """

    def __init__(
        self,
        dataset: MonaiDataset,
        *,
        faults: str | Path,
        batch_size: int = 8,
        num_workers: int = 0,
    ) -> None:
        self.dataset = _Tolerant(dataset)
        self.loader = DataLoader(self.dataset, batch_size=batch_size, num_workers=num_workers, collate_fn=_collate)
        self.faults = Path(faults)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the batches."""
        self.faults.parent.mkdir(parents=True, exist_ok=True)
        count = 0
        with self.faults.open("w", encoding="utf-8") as stream:
            for batch in self.loader:
                for fault in batch.pop("faults"):
                    stream.write(json.dumps(fault) + "\n")
                    count += 1
                if batch["id"]:
                    yield batch
        if count:
            logger.warning("%d of %d images could not be read: see %s", count, len(self.dataset), self.faults.name)
        else:
            self.faults.unlink()
