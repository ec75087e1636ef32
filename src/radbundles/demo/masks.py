# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of DCXFM in the demonstration: trained on masks of some classes, asked for others, beside stage 1."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from radbundles.components.data import load_datalist
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.pack import pack_bundle
from radbundles.components.reports import ImageGrid, KeyFigure, Picture, Table
from radbundles.components.zero_shot import load_zero_shot, prompt_table
from radbundles.demo.grounding import GroundingResult, Step, draw_map, interval
from radbundles.demo.workflow import build_workflow, command_line

BUNDLE = "dcxfm_dense"
CONFIGS = ("train", "tiny")
TRAINED = ("heart", "left lung", "right lung", "edema", "effusion", "opacity")
UNSEEN = ("cardiomegaly", "consolidation")
"""Classes of the phantoms that stage 2 gets no mask of. It sees masks of places where they lie, under other names."""
FEWEST = 3  # images with masks that a class of the user's data needs
SIDE = 80  # as stage 1
WIDTH = 32  # half of what tiny.json has, for a fraction of the time
PASSES = 3  # epochs of 100 steps


@dataclass(frozen=True)
class MasksResult:
    """What stage 2 adds to the demonstration.

    Attributes:
        metrics: means of the exam by name.
        key_figures: for the head of the page.
        blocks: sections of the page.
        packed: bundle that holds the trained model.
        config: raw configuration of the training.
    """

    metrics: dict[str, float]
    key_figures: list[KeyFigure]
    blocks: list[Any]
    packed: Path
    config: dict[str, Any]


def run_masks(
    *,
    out: Path,
    datalist: Path,
    stage1: GroundingResult,
    section: str,
    seed: int,
    epochs: int | None,
    workers: int,
    own: bool,
    step: Step,
) -> MasksResult | None:
    """Train stage 2 of DCXFM on the tiny configuration, and judge it beside stage 1.

    Args:
        out: folder for what is made.
        datalist: checked data.
        stage1: trained on it.
        section: to judge on.
        seed: of everything random.
        epochs: of 10 steps each; None takes this demonstration's own, of 100 steps.
        workers: processes that load data beside this one.
        own: whether the data is the user's, whose classes are all trained.
        step: times a step and tells what it does.

    Returns:
        None if there are too few masks.
    """
    have = {part: _places(datalist, part) for part in ("training", "validation", section)}
    classes = sorted(name for name, count in have["training"].items() if count >= FEWEST) if own else list(TRAINED)
    classes = [name for name in classes if have["training"][name] and name in prompt_table("chest")]
    if not classes or not any(have["validation"][name] for name in classes):
        return None
    bundle, training = find_bundle(BUNDLE).folder, out / "masks"
    tokenizer = stage1.packed / "models" / "tokenizer.json"
    settings: dict[str, Any] = {
        "dataset_dir": str(datalist.parent),
        "datalist": str(datalist),
        "stage1": str(stage1.packed),
        "output_dir": str(training),
        "image_size": SIDE,
        "aggregator_dim": WIDTH,
        "seed": seed,
        "num_workers": workers,
    }
    chosen = {"epochs": epochs or PASSES, "classes": classes}
    if epochs is not None:
        chosen["epoch_batches"] = 10
    shutil.rmtree(training, ignore_errors=True)
    with step("masks", command_line(bundle, CONFIGS, settings | chosen)):
        workflow = build_workflow(bundle, *CONFIGS, **settings, **chosen)
        config = workflow.parser.get()
        workflow.run()
    asked = [*classes, *(name for name in UNSEEN if have[section][name] and name not in classes)]
    weights, results, packed = training / "model.pt", training / "evaluation", out / "dcxfm_dense"
    with step("masks exam", f"Asking stage 2 for masks on the {section} section"):
        exam = {"classes": asked, "weights": str(weights), "results": str(results), "section": section}
        workflow = build_workflow(bundle, *CONFIGS, "evaluate", **settings, **exam)
        workflow.run()
        shutil.rmtree(packed, ignore_errors=True)
        pack_bundle(bundle, CONFIGS, packed, weights=weights, tokenizer=tokenizer, overrides=settings | chosen)
    metrics = json.loads((results / "evaluation.json").read_text(encoding="utf-8"))
    metrics = {f"stage 2 {name}": float("nan") if value is None else value for name, value in metrics.items()}
    tables = [
        json.loads((folder / "segmentation" / "grounding.json").read_text(encoding="utf-8"))
        for folder in (out / "grounding" / "evaluation", results)
    ]
    judged = [name for name in asked if all(name in _classes(table, "dcxfm") for table in tables)]
    return MasksResult(
        metrics=metrics,
        key_figures=_key_figures(tables, [name for name in judged if name not in classes]),
        blocks=[*_pictures(workflow, stage1.packed, asked, classes, section), *_table(tables, judged, have, classes)],
        packed=packed,
        config=config,
    )


def _places(datalist: Path, section: str) -> Counter[str]:
    """How many images of a section have masks or boxes of each class."""
    items = load_datalist(datalist, section, base_dir=datalist.parent)
    return Counter(name for item in items for name in {*item.get("masks", ()), *item.get("boxes", ())})


def _classes(table: dict[str, Any], protocol: str) -> dict[str, Any]:
    classes: dict[str, Any] = table["protocols"].get(protocol, {}).get("classes", {})
    return classes


def _key_figures(tables: Sequence[dict[str, Any]], unseen: Sequence[str]) -> list[KeyFigure]:
    first, second = (_classes(table, "dcxfm") for table in tables)
    return [
        KeyFigure(
            label=f"IoU, {name} (no mask seen)",
            value=interval(second[name]["model"]["iou"]),
            baseline=interval(first[name]["model"]["iou"]),
            note="stage 2; baseline: stage 1 alone; a centered box: " + interval(second[name]["centered box"]["iou"]),
        )
        for name in unseen
    ]


def _table(
    tables: Sequence[dict[str, Any]], judged: Sequence[str], have: dict[str, Counter[str]], classes: Sequence[str]
) -> list[Table]:
    if not judged:
        return []
    first, second = (_classes(table, "dcxfm") for table in tables)
    half = _classes(tables[1], "half")
    columns = ["Class", "Masks seen", "Images", "IoU, stage 1", "IoU, stage 2", "IoU, centered box", "Dice, stage 2"]
    rows = [
        [
            name,
            str(have["training"][name]) if name in classes else "none",
            str(second[name]["samples"]),
            interval(first[name]["model"]["iou"]),
            interval(second[name]["model"]["iou"]),
            interval(second[name]["centered box"]["iou"]),
            interval(half[name]["model"]["dice"]),
        ]
        for name in judged
    ]
    text = (
        "IoU: maps of both stages stretched to -1..1, mean over the thresholds 0.1 to 0.5. Dice: masks where the score "
        "reaches 0.5. In brackets: 95 % intervals, patients resampled."
    )
    return [Table(title="Masks, class by class", columns=columns, rows=rows, text=text)]


def _pictures(
    workflow: ConfigWorkflow, packed: Path, asked: Sequence[str], classes: Sequence[str], section: str
) -> list[ImageGrid]:
    """Draw both stages side by side: for each class without a mask, and one with, an image that has it."""
    get = workflow.parser.get_parsed_content
    items, dataset, dense = get("exam#items"), get("exam#dataset"), get("exam#zero_shot")
    stage1 = load_zero_shot(packed)
    unseen = [name for name in asked if name not in classes]
    rows: list[list[Picture | None]] = []
    shown: set[int] = set()
    for name in [*unseen, *unseen, *classes[:3]]:
        place = next(
            (n for n in range(min(len(items), 256)) if n not in shown and name in items[n].get("masks", {})), None
        )
        if place is None:
            continue
        shown.add(place)
        sample = dataset[place]
        if name not in sample["regions"]:
            continue
        image, mask = torch.as_tensor(sample["image"]), sample["region_masks"][sample["regions"].index(name)]
        number, gray = len(rows) + 1, image[0].cpu().numpy()
        before = stage1.compare(stage1.encode_images(image[None]), classes=[name]).maps[0, 0]
        found = dense.compare(dense.encode_images(image[None]), classes=list(asked)).maps[0, list(asked).index(name)]
        plain = Picture(image=gray, alt=f"Sample {number}: the radiograph")
        rows.append([plain, *(draw_map(gray, cells, mask, name, number) for cells in (before, found.sigmoid()))])
    if not rows:
        return []
    without = f" Stage 2 has seen no mask of {' and '.join(unseen)}." if unseen else ""
    text = (
        f"Samples of the {section} section, which neither stage was trained on.{without} Colors: stage 1 similarity, "
        "on the scale of each map, and stage 2 score; blue line: where the class truly lies; ring: the highest value."
    )
    return [
        ImageGrid(title="From similarity to masks", columns=["Radiograph", "Stage 1", "Stage 2"], rows=rows, text=text)
    ]
