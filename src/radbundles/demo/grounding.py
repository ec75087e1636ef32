# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of DCXFM in the demonstration: trained, asked in words, drawn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image, ImageDraw
from torch import Tensor

from radbundles.components.data import load_datalist
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.pack import pack_bundle
from radbundles.components.metrics import PROTOCOLS
from radbundles.components.reports import (
    Curve,
    Curves,
    ImageGrid,
    KeyFigure,
    Line,
    Picture,
    ReportText,
    Table,
    overlay_heat_map,
)
from radbundles.components.sentences import label_sentences
from radbundles.demo.history import read_history
from radbundles.demo.workflow import build_workflow, command_line

BUNDLE = "dcxfm_pretrain"
CONFIGS = ("train", "tiny")
BATCH = 32  # of tiny.json; fewer items make one batch
SCORES = {"pointing": "Pointing game", "cnr": "CNR", "iou": "IoU"}
LOSSES = {
    "contrast": "Soft image-text contrast",
    "word_region": "Word-region alignment",
    "distillation": "Local-to-global self-distillation",
}
TRUTH, POINT = (64, 224, 255), (255, 255, 255)
Step = Callable[[str, str], AbstractContextManager[None]]
Bounds = list[float | None]


@dataclass(frozen=True)
class GroundingResult:
    """What stage 1 adds to the demonstration.

    Attributes:
        trained: means of the exam by name, of the trained model.
        untrained: of the same network with its initial weights.
        key_figures: for the head of the page; none if no phrase has a box.
        blocks: sections of the page.
        packed: bundle that holds the trained model.
        config: raw configuration of the training.
    """

    trained: dict[str, float]
    untrained: dict[str, float]
    key_figures: list[KeyFigure]
    blocks: list[Any]
    packed: Path
    config: dict[str, Any]


def run_grounding(
    *,
    out: Path,
    datalist: Path,
    tokenizer: Path,
    section: str,
    seed: int,
    epochs: int | None,
    workers: int,
    step: Step,
) -> GroundingResult:
    """Label sentences, train stage 1 of DCXFM on the tiny configuration, and set it the zero-shot exam.

    Args:
        out: folder for what is made.
        datalist: checked data.
        tokenizer: trained on its reports.
        section: to judge on.
        seed: of everything random.
        epochs: of the training; None takes those of ``tiny.json``.
        workers: processes that load data beside this one.
        step: times a step and tells what it does.
    """
    bundle = find_bundle(BUNDLE).folder
    sentences, training = out / "sentences.jsonl", out / "grounding"
    with step("sentences", f"$ radbundles sentences {datalist} --out {sentences}"):
        label_sentences(datalist, sentences)
    settings: dict[str, Any] = {
        "dataset_dir": str(datalist.parent),
        "datalist": str(datalist),
        "sentences": str(sentences),
        "tokenizer": str(tokenizer),
        "output_dir": str(training),
        "seed": seed,
        "num_workers": workers,
    }
    if epochs is not None:
        settings |= {"epochs": epochs, "schedule_epochs": epochs, "warmup_epochs": epochs / 20}
        settings["val_interval"] = max(1, epochs // 5)
    items = len(load_datalist(datalist, "training", base_dir=datalist.parent, sentences=sentences))
    if items < BATCH:
        settings["batch_size"] = items
    shutil.rmtree(training, ignore_errors=True)

    def examine(weights: Path | None) -> tuple[ConfigWorkflow, dict[str, float], dict[str, Any]]:
        results = training / ("untrained" if weights is None else "evaluation")
        chosen = {"weights": str(weights) if weights else None, "results": str(results), "section": section}
        workflow = build_workflow(bundle, *CONFIGS, "evaluate", **settings, **chosen)
        workflow.run()
        metrics = json.loads((results / "evaluation.json").read_text(encoding="utf-8"))
        table = json.loads((results / "grounding" / "grounding.json").read_text(encoding="utf-8"))
        return workflow, {k: float("nan") if v is None else v for k, v in metrics.items()}, table

    with step("untrained grounding", f"Asking an untrained DCXFM on the {section} section"):
        _, untrained, first = examine(None)
    with step("grounding", command_line(bundle, CONFIGS, settings)):
        workflow = build_workflow(bundle, *CONFIGS, **settings)
        config = workflow.parser.get()
        workflow.run()
        per_epoch = workflow.parser.get_parsed_content("train#trainer").state.epoch_length
    weights, packed = training / "model.pt", out / "dcxfm"
    with step("exam", f"Asking the trained DCXFM on the {section} section"):
        workflow, trained, table = examine(weights)
        shutil.rmtree(packed, ignore_errors=True)
        pack_bundle(bundle, CONFIGS, packed, weights=weights, tokenizer=tokenizer)
    curves = [
        read_history(training / "tensorboard" / part, per_epoch=n)
        for part, n in (("train", per_epoch), ("validation", 1))
    ]
    return GroundingResult(
        trained=trained,
        untrained=untrained,
        key_figures=_key_figures(table, first),
        blocks=[*_pictures(workflow, section), *_table(table, first, section), _curves(*curves)],
        packed=packed,
        config=config,
    )


def _scores(table: dict[str, Any], method: str) -> dict[str, Bounds]:
    scores: dict[str, Bounds] = table["protocols"]["dcxfm"]["mean"][method]
    return scores


def interval(bounds: Bounds) -> str:
    """Write an estimate and its bounds as the page shows them."""
    if None in bounds:
        return "not defined"
    estimate, low, high = (float(value or 0) for value in bounds)
    return f"{estimate:.2f} ({low:.2f} to {high:.2f})"


def _key_figures(table: dict[str, Any], untrained: dict[str, Any]) -> list[KeyFigure]:
    if not table["samples"]:
        return []
    return [
        KeyFigure(
            label=f"{SCORES[score]}, phrases on unseen images",
            value=interval(_scores(table, "model")[score]),
            baseline=interval(_scores(untrained, "model")[score]),
            note="baseline: the same model, untrained; a centered box: "
            + interval(_scores(table, "centered box")[score]),
        )
        for score in ("pointing", "cnr")
    ]


def _table(table: dict[str, Any], untrained: dict[str, Any], section: str) -> list[Table]:
    if not table["samples"]:
        return []
    tables = [
        Table(
            title=f"Phrases on the {section} section ({table['samples']} of {table['images']} images)",
            columns=["Measure", "Trained", "Untrained", "Centered box", "Trained minus box"],
            rows=[
                [
                    name,
                    interval(_scores(table, "model")[score]),
                    interval(_scores(untrained, "model")[score]),
                    interval(_scores(table, "centered box")[score]),
                    interval(_scores(table, "margin")[score]),
                ]
                for score, name in SCORES.items()
            ],
            text=f"Protocol {PROTOCOLS['dcxfm']}. In brackets: 95 % intervals, patients resampled.",
        )
    ]
    classes = table["protocols"]["dcxfm"]["classes"]
    tables.append(
        Table(
            title="The same, finding by finding",
            columns=["Finding", "Phrases", "Pointing game", "of a centered box", "CNR"],
            rows=[
                [
                    name,
                    str(entry["samples"]),
                    interval(entry["model"]["pointing"]),
                    interval(entry["centered box"]["pointing"]),
                    interval(entry["model"]["cnr"]),
                ]
                for name, entry in classes.items()
            ],
        )
    )
    return tables


def _curves(training: Any, validation: Any) -> Curves:
    return Curves(
        title="Training of DCXFM",
        curves=[
            Curve(
                title=title,
                lines=[
                    Line(label="training", rows=training, key=key),
                    Line(label="validation", rows=validation, key=key),
                ],
            )
            for key, title in LOSSES.items()
        ],
    )


@torch.inference_mode()
def _pictures(workflow: ConfigWorkflow, section: str, *, images: int = 4, columns: int = 3) -> list[ImageGrid]:
    """Draw the maps of phrases on the images that have most of them, at most one of a patient."""
    get = workflow.parser.get_parsed_content
    items, dataset, zero_shot = get("exam#items"), get("exam#dataset"), get("exam#zero_shot")
    asked = [
        sum(bool(phrase["boxes"]) for phrase in items[place].get("phrases", ()))
        for place in range(min(len(items), 256))
    ]
    chosen: dict[str, int] = {}
    for place in sorted(range(len(asked)), key=lambda place: -asked[place]):
        patient = str(items[place].get("patient", items[place]["id"]))
        if asked[place] and len(chosen) < images:
            chosen.setdefault(patient, place)
    rows: list[list[Picture | None]] = []
    for number, place in enumerate(chosen.values(), start=1):
        sample = dataset[place]
        image = torch.as_tensor(sample["image"])
        phrases = sample["phrases"][:columns]
        maps = zero_shot.compare(zero_shot.encode_images(image[None]), phrases=phrases, classes=()).maps[0]
        gray = image[0].cpu().numpy()
        drawn: list[Picture | None] = [
            draw_map(gray, cells, mask, phrase, number)
            for cells, mask, phrase in zip(maps, sample["phrase_masks"], phrases, strict=False)
        ]
        plain = Picture(image=gray, alt=f"Sample {number}: the radiograph")
        rows.append([plain, *drawn, *[None] * (columns - len(drawn))])
    if not rows:
        return []
    text = (
        f"Samples of the {section} section, which the model was not trained on. Colors: similarity of phrase and "
        "place, on the scale of each map; blue line: where the phrase truly lies; ring: the highest similarity. "
        "A similarity is not a probability."
    )
    return [ImageGrid(title="Where phrases lie", columns=["Radiograph", *["Phrase"] * columns], rows=rows, text=text)]


def draw_map(gray: np.ndarray, cells: Tensor, mask: Tensor, phrase: str, number: int, side: int = 384) -> Picture:
    """One map over its image, with the border of the truth and a ring around the highest value."""
    image = np.asarray(Image.fromarray(gray).resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    heat = torch.nn.functional.interpolate(cells[None, None].float(), (side, side), mode="bilinear")[0, 0].cpu().numpy()
    above = (heat - np.median(heat)).clip(min=0)
    picture = Image.fromarray(
        np.rint(overlay_heat_map(image, above, maximum=float(above.max())) * 255).astype(np.uint8)
    )
    inside = torch.nn.functional.interpolate(mask[None, None].float(), (side, side), mode="nearest")[0, 0]
    border = inside - (1 - torch.nn.functional.max_pool2d(1 - inside[None], 5, 1, 2)[0])
    pixels = np.array(picture)
    pixels[border.numpy() > 0] = TRUTH
    picture = Image.fromarray(pixels)
    y, x = (int(place) for place in np.unravel_index(heat.argmax(), heat.shape))
    ImageDraw.Draw(picture).ellipse((x - 9, y - 9, x + 9, y + 9), outline=POINT, width=3)
    alt = f"Sample {number}: heat map of a phrase"
    return Picture(image=np.asarray(picture, dtype=np.float32) / 255, alt=alt, caption=ReportText(phrase))
