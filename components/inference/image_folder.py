# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of the images of a folder, where one bad file does not end the job."""

from __future__ import annotations

import json
import logging
from collections import Counter
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


def gather_images(paths: Sequence[str | Path]) -> list[dict[str, str]]:
    """Return an item for every file named, whatever its suffix, and every image below every folder named.

    The ``id`` of a file is its name, that of an image of a folder its path within it; where two would be alike, both
    are the whole path. A file named twice counts once. Whether a file exists is found out when it is read.

    Raises:
        FileNotFoundError: if a folder holds no image.
    """
    items: dict[Path, dict[str, str]] = {}
    for path in map(Path, paths):
        found = list_images(path) if path.is_dir() else [{"id": path.name, "image": str(path)}]
        for item in found:
            items.setdefault(Path(item["image"]).resolve(), item)
    count = Counter(item["id"] for item in items.values())
    return [
        item if count[item["id"]] == 1 else {**item, "id": Path(item["image"]).as_posix()} for item in items.values()
    ]


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
    batch: dict[str, Any] = {key: [sample[key] for sample in good] for key in (good[0] if good else ("id",))}
    batch["faults"] = [{"id": sample["id"], "reason": sample["fault"]} for sample in samples if "fault" in sample]
    if good:
        # What a MetaTensor knows of its image (size in the file, frame, view) differs from image to image.
        batch["meta"] = [dict(getattr(image, "meta", {})) for image in batch["image"]]
        batch["image"] = torch.stack([torch.as_tensor(image).as_subclass(torch.Tensor) for image in batch["image"]])
    return batch


class ImageBatches:
    """Batches for an evaluator, where what cannot be read goes to a file and the rest goes on.

    A batch has ``image`` [B, C, H, W], ``meta``, what is known of each image (list of dicts: size in the file, frame,
    view), and every other key of the samples, ``id`` among them, as a list. There is no length, since a batch without
    a readable image is left out.

    Args:
        dataset: MONAI dataset whose items have an ``id``, see :func:`list_images`, and whose samples have ``id`` and an
            ``image`` of one size.
        faults: JSON Lines file for what could not be read: id and reason; removed if there is nothing to say.
        batch_size: images at a time.
        num_workers: loading processes.

    Attributes:
        done: images given out so far.
        refused: images that could not be read so far.
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
        self.done = self.refused = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the batches."""
        self.faults.parent.mkdir(parents=True, exist_ok=True)
        self.done = self.refused = 0
        with self.faults.open("w", encoding="utf-8") as stream:
            for batch in self.loader:
                for fault in batch.pop("faults"):
                    stream.write(json.dumps(fault) + "\n")
                    self.refused += 1
                if batch["id"]:
                    self.done += len(batch["id"])
                    yield batch
        if self.refused:
            logger.warning(
                "%d of %d images could not be read: see %s", self.refused, len(self.dataset), self.faults.name
            )
        else:
            self.faults.unlink()
