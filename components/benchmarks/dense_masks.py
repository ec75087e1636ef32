# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks of real pictures: stage 2 of DCXFM beside stage 1 alone and beside a U-Net trained on the same masks.

    python -m radbundles.components.benchmarks.dense_masks chest DATA --stage1 runs/lung_zones/packed
    python -m radbundles.components.benchmarks.dense_masks fundus DATA --stage1 runs/lung_zones/packed

DATA is a collection with a ``manifest.jsonl``. ``chest`` trains on the lung masks of Montgomery and Shenzhen, parted
into left and right lung, and judges on the patients of their test section and on a source that takes no part in
training, the lungs of COVID films from journals. ``fundus`` trains on vessels (CHASE_DB1) and on disc and lesions
(IDRiD), each source annotating its own classes, and judges on their test sections. Stage 1 is the model that
``radbundles.components.benchmarks.lung_zones`` packs.

All three are judged in the pixels of the original picture: stage 2 and the U-Net at a score of 0.5; stage 1, whose maps
have no scale, stretched to 0..1 and cut where the mean Dice of the class is highest on the validation section (a source
too small to have one is validated on its training section). Stage 2 and the U-Net see the same pictures the same number
of times. ``results.json`` has every mean with its interval (patients resampled), ``scores.csv`` every picture, its id
as a hash.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.metrics import compute_dice
from PIL import Image

from radbundles.components.data import (
    build_datalist,
    iter_datalist,
    load_mask_sources,
    split_lungs,
    write_datalist,
)
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.metrics import bootstrap_interval
from radbundles.components.zero_shot import load_zero_shot
from radbundles.transforms import FitRadiograph, FittedFrame, LoadRadiograph, LoadTargetsd

CONFIGS = ("train", "tiny")
METHODS = ("stage 2", "U-Net", "stage 1")
LEVELS = np.linspace(0.05, 0.95, 19)
Logits = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Task:
    """What is segmented, and from which sources.

    Attributes:
        classes: names of the classes.
        sources: what each source of the collection annotates: its names of masks, and ours.
        left_out: sources that are judged on, and never trained on.
        overrides: values of the configuration, by id.
    """

    classes: tuple[str, ...]
    sources: Mapping[str, Mapping[str, str]]
    left_out: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)


_LUNGS = {"left lung": "left lung", "right lung": "right lung"}
_IDRID = ("optic disc", "hard exudates", "soft exudates", "haemorrhages", "microaneurysms")
TASKS = {
    "chest": Task(
        classes=tuple(_LUNGS),
        sources={"montgomery": _LUNGS, "shenzhen_nc": _LUNGS, "covid_lungs": _LUNGS},
        left_out=("covid_lungs",),
        overrides={"image_size": 128},
    ),
    "fundus": Task(
        classes=("vessels", *_IDRID),
        sources={"chase_db1": {"vessels (1stHO)": "vessels"}, "idrid_segmentation": {name: name for name in _IDRID}},
        overrides={"image_size": 192, "aggregator_dim": 32, "own_terms": True},
    ),
}


def prepare(task: Task, data: Path, out: Path) -> list[dict[str, Any]]:
    """Write a datalist for each source, lungs parted, and return the sources as the configuration names them."""
    made = []
    for source, names in task.sources.items():
        every, datalist = out / f"{source}.all.json", out / f"{source}.json"
        build_datalist("open-collection", data, every, only=["masks"], sources=[source], dataset_dir=data)
        rows = [(split, _parted(item, data, out / "masks")) for _, split, item in iter_datalist(every)]
        if source in task.left_out:
            rows = [("test", item) for _, item in rows]
        rows = [(split, item) for split, item in rows if item.get("masks")]
        write_datalist(datalist, rows)
        sections: dict[str, list[str]] = {"training": [], "validation": []} if source in task.left_out else {}
        if not sections and all(split != "validation" for split, _ in rows):
            sections = {"validation": ["training"]}
        made.append(
            {
                "name": source,
                "datalist": str(datalist),
                "dataset_dir": str(data),
                "classes": sorted(names.values()),
                "names": {theirs: ours for theirs, ours in names.items() if theirs != ours},
                "boxes": False,
                "sections": sections,
            }
        )
    return made


def _parted(item: dict[str, Any], data: Path, folder: Path) -> dict[str, Any]:
    """An item whose mask of both lungs, if it has one, is replaced by one of each."""
    masks = dict(item.get("masks", {}))
    if "lungs" not in masks:
        return item
    path = masks.pop("lungs")
    try:
        sides = split_lungs(np.asarray(Image.open(data / path).convert("L")))
    except ValueError:  # one lung, or lungs that are joined: no side can be told
        return {**item, "masks": {}}
    folder.mkdir(parents=True, exist_ok=True)
    for name, side in zip(("left lung", "right lung"), sides, strict=True):
        file = folder / f"{_hash(str(path))}-{name.split()[0]}.png"
        Image.fromarray(side).save(file)
        masks[name] = str(file.resolve())
    return {**item, "masks": masks}


def measure(
    name: str, data: Path, out: Path, *, stage1: Path, epochs: int = 6, seed: int = 42, **overrides: Any
) -> dict[str, Any]:
    """Train stage 2 and the U-Net, and judge them and stage 1.

    Args:
        name: a task of :data:`TASKS`.
        data: folder of the collection.
        out: folder for everything that is made.
        stage1: bundle that ``radbundles pack`` made of a run of ``dcxfm_pretrain``.
        epochs: of both trainings, each of the configuration's ``epoch_batches``.
        seed: of everything random.
        **overrides: further values of the configuration, by id.

    Returns:
        Dice of each method by source and class as [estimate, lower, upper], the differences to stage 2, and seconds of
        training.
    """
    task = TASKS[name]
    out.mkdir(parents=True, exist_ok=True)
    sources = prepare(task, data, out)
    stage1_config = json.loads((stage1 / "configs" / "inference.json").read_text(encoding="utf-8"))
    settings: dict[str, Any] = {
        "classes": list(task.classes),
        "sources": sources,
        "stage1": str(stage1),
        "center_features": stage1_config["center_features"],
        "epochs": epochs,
        "seed": seed,
        "resume": False,
        **task.overrides,
        **overrides,
    }
    methods: dict[str, Logits] = {}
    seconds: dict[str, float] = {}
    for method, configs in (("stage 2", CONFIGS), ("U-Net", (*CONFIGS, "unet"))):
        folder = out / method.lower().replace(" ", "").replace("-", "")
        began = time.perf_counter()
        workflow = bundle_workflow(
            find_bundle("dcxfm_dense").folder, configs, kind="train", **settings, output_dir=str(folder)
        )
        workflow.run()
        seconds[method] = round(time.perf_counter() - began, 1)
        get = workflow.parser.get_parsed_content
        methods[method] = _scorer(get("objective"), get("device"))
        size, channels = get("image_size"), get("channels")
    asker = load_zero_shot(stage1, own_terms=bool(settings.get("own_terms", False)), prompts=get("prompts"))
    own_size = stage1_config["image_size"]  # that it was trained at; its maps lie over the same square

    @torch.inference_mode()
    def stage_1(image: torch.Tensor) -> torch.Tensor:
        fitted = F.interpolate(image[None], (own_size, own_size), mode="bilinear", antialias=True)
        return asker.compare(asker.encode_images(fitted), classes=task.classes).maps[0].cpu()

    read = _Reader(task.classes, size=size, channels=channels)
    validation = load_mask_sources(sources, "validation", task.classes)
    levels = _best_levels(stage_1, map(read, validation), task.classes)
    rows = []
    for item in load_mask_sources(sources, "test", task.classes):
        image, masks, labels, frame = read(item)
        found = {method: frame.to_original(logits(image)) >= 0 for method, logits in methods.items()}
        found["stage 1"] = _stretched(frame.to_original(stage_1(image))) >= levels[:, None, None]
        dice = {method: compute_dice(inside[None], masks[None])[0] for method, inside in found.items()}
        for place in torch.nonzero(labels == 1)[:, 0].tolist():
            rows += [
                {
                    "source": item["source"],
                    "picture": _hash(item["id"]),
                    "patient": _hash(str(item.get("patient", item["id"]))),
                    "class": task.classes[place],
                    "method": method,
                    "dice": round(float(dice[method][place]), 5),
                }
                for method in METHODS
            ]
    with (out / "scores.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    figures = {
        "task": name,
        "epochs": epochs,
        "seed": seed,
        "overrides": {**dict(task.overrides), **overrides},
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "training_seconds": seconds,
        "stage_1_levels": {name: round(float(level), 2) for name, level in zip(task.classes, levels, strict=True)},
        "dice": summarize(rows),
    }
    (out / "results.json").write_text(json.dumps(figures, indent=4) + "\n", encoding="utf-8")
    return figures


class _Reader:
    """Item -> fitted image [C, S, S], masks [T, H, W] and labels [T] in original pixels, and the frame."""

    def __init__(self, classes: Sequence[str], *, size: int, channels: int) -> None:
        self.load, self.fit = LoadRadiograph(), FitRadiograph(size)
        self.targets, self.channels = LoadTargetsd(classes=classes), channels

    def __call__(self, item: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, FittedFrame]:
        sample = self.targets({**item, "image": self.load(item["image"])})
        fitted = self.fit(sample["image"])
        assert isinstance(fitted, MetaTensor)
        pixels = fitted.as_subclass(torch.Tensor).expand(self.channels, -1, -1)
        masks = sample["masks"].as_subclass(torch.Tensor) != 0
        return pixels, masks, torch.as_tensor(sample["labels"]), FittedFrame.of(fitted)


def _scorer(objective: torch.nn.Module, device: torch.device) -> Logits:
    """Logits [T, S, S] of one fitted image by a trained objective."""
    objective.eval()

    @torch.inference_mode()
    def score(image: torch.Tensor) -> torch.Tensor:
        return objective.predict(image[None].to(device))[0].float().cpu()  # type: ignore[operator]

    return score


def _stretched(maps: torch.Tensor) -> torch.Tensor:
    """Maps [T, H, W], each from 0 to 1."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-12)


def _best_levels(logits: Logits, samples: Iterable[tuple[Any, ...]], classes: Sequence[str]) -> torch.Tensor:
    """For each class the level [T] at which stretched maps have the highest mean Dice."""
    total = np.zeros((len(LEVELS), len(classes)))
    for image, masks, labels, frame in samples:
        maps = _stretched(frame.to_original(logits(image)))
        present = (labels == 1).numpy()
        for row, level in enumerate(LEVELS):
            dice = compute_dice((maps >= level)[None], masks[None])[0].numpy()
            total[row, present] += dice[present]
    return torch.tensor(LEVELS[total.argmax(0)], dtype=torch.float32)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean Dice of each method by source and class, and stage 2 less the others, with 95 % intervals over patients.

    Args:
        rows: one for each picture, class and method, as ``scores.csv`` has them.
    """
    scores: dict[tuple[str, str], dict[tuple[str, str], dict[str, float]]] = {}
    for row in rows:
        pictures = scores.setdefault((row["source"], row["class"]), {})
        pictures.setdefault((row["picture"], row["patient"]), {})[row["method"]] = float(row["dice"])
    result: dict[str, Any] = {}
    for (source, name), pictures in sorted(scores.items()):
        table = np.array([[methods[method] for method in METHODS] for methods in pictures.values()])
        columns = np.concatenate([table, table[:, :1] - table[:, 1:]], axis=1)
        interval = bootstrap_interval(columns, clusters=[patient for _, patient in pictures])
        bounds = np.round(np.stack(interval), 3).T.tolist()
        titles = (*METHODS, *(f"stage 2 - {method}" for method in METHODS[1:]))
        entry = {"pictures": len(pictures)} | dict(zip(titles, bounds, strict=True))
        result.setdefault(source, {})[name] = entry
    return result


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Masks of real pictures: stage 2 of DCXFM, stage 1, and a U-Net.")
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("data", type=Path, help="folder of the collection, with manifest.jsonl")
    parser.add_argument("--stage1", type=Path, required=True, help="bundle of radbundles pack")
    parser.add_argument("--out", type=Path, help="folder for what is made; runs/dense_masks/TASK by default")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, help="threads of the CPU; by default torch's choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    out = arguments.out or Path("runs/dense_masks") / arguments.task
    figures = measure(
        arguments.task,
        arguments.data,
        out,
        stage1=arguments.stage1,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    print(json.dumps(figures, indent=4))


if __name__ == "__main__":
    main()
