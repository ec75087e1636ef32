# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A few samples of a trained model, laid out for the page."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image
from torch import Tensor

from radbundles.components.engines import move_batch
from radbundles.components.metrics import to_display
from radbundles.components.reports import (
    DistilledReport,
    HeatMap,
    MaskedReport,
    Picture,
    Token,
    image_panels,
    mark_tokens,
)


@dataclass(frozen=True)
class Examples:
    """What the page shows of each sample, in the same order."""

    panels: list[dict[str, Picture]]
    texts: list[MaskedReport]
    heat_maps: list[HeatMap]
    distilled: list[DistilledReport]


def read_records(distilled: Path) -> dict[str, dict[str, Any]]:
    """Return the distilled records of a small file by id."""
    with distilled.open(encoding="utf-8") as stream:
        return {record["id"]: record for record in map(json.loads, stream)}


def choose(items: Any, records: dict[str, dict[str, Any]], count: int) -> list[int]:
    """Return the places of the items whose reports state most that is there, at most one of a patient."""
    stated = Counter[int]()
    for place in range(min(len(items), 256)):
        entities = records.get(items[place]["id"], {"entities": []})["entities"]
        stated[place] = sum(entity["certainty"] != "absent" for entity in entities)
    chosen: list[int] = []
    patients: set[str] = set()
    for place, _ in stated.most_common():
        patient = items[place].get("patient", items[place]["id"])
        if patient not in patients and len(chosen) < count:
            patients.add(patient)
            chosen.append(place)
    return chosen


@torch.inference_mode()
def make_examples(workflow: ConfigWorkflow, distilled: Path, *, count: int = 4, seed: int = 0) -> Examples:
    """Run the model of an evaluation workflow on a few of its samples.

    Args:
        workflow: of ``evaluate.json``, after its run, so that the weights are loaded.
        distilled: file of ``radbundles distill``.
        count: samples.
        seed: of the patches that are hidden.
    """
    get = workflow.parser.get_parsed_content
    dataset, items, device = get("validate#dataset"), get("validate#items"), get("device")
    records = read_records(distilled)
    places = choose(items, records, count)
    batch, _ = move_batch(get("collate")([dataset[place] for place in places]), device)
    objective = get("objective").eval()
    torch.manual_seed(seed)
    pred = objective(batch)
    attention = get("network").cross_attention(batch["image"], batch["labels"], batch["attention_mask"]).mean(1)
    predicted = iter(pred["logits"].argmax(-1).split(batch["masked"].sum(1).tolist()))
    mean, std = get("pixel_mean"), get("pixel_std")
    word = get("vocabulary").id_to_token
    made = Examples([], [], [], [])
    for row, place in enumerate(places):
        label = f"Sample {row + 1}"
        panels = image_panels({"image": batch, "pred": pred}, index=row, mean=mean, std=std)
        made.panels.append(
            {name: Picture(image=image, alt=f"{label}: {name.lower()}") for name, image in panels.items()}
        )
        pieces = [word(number) for number in batch["labels"][row].tolist()]
        entity = batch["entity"][row].tolist()
        answers = [word(number) for number in next(predicted).tolist()]
        tokens: list[Token] = mark_tokens(pieces, batch["masked"][row].tolist(), answers, entity)
        made.texts.append(MaskedReport(label=label, tokens=tokens))
        gray = to_display(batch["image"][row : row + 1], mean=mean, std=std)[0, 0].cpu().numpy()
        made.heat_maps.append(HeatMap(image=gray, maps=word_maps(pieces, entity, attention[row]), alt=label))
        item = items[place]
        made.distilled.append(DistilledReport.from_record(label, item["report"], records[item["id"]]))
    return made


def write_preview(path: Path, examples: Examples, *, rows: int = 2, side: int = 256) -> None:
    """Write the panels of the first samples side by side as one PNG, the picture of the README."""

    def square(image: Any) -> Any:
        pixels = (np.asarray(image) * 255).round().astype(np.uint8)
        return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))

    strips = [np.hstack([square(picture.image) for picture in panels.values()]) for panels in examples.panels[:rows]]
    Image.fromarray(np.vstack(strips)).convert("L").save(path, optimize=True)


def word_maps(pieces: list[str], entity: list[bool], attention: Tensor, limit: int = 4) -> dict[str, Any]:
    """Return attention [rows, columns] for each of the first entities of a report, averaged over its pieces."""
    spans: dict[str, list[int]] = {}
    start = 0
    while start < len(pieces):
        stop = start
        while stop < len(pieces) and entity[stop] and (stop == start or pieces[stop].startswith("##")):
            stop += 1
        if stop > start:
            word = pieces[start] + "".join(piece.removeprefix("##") for piece in pieces[start + 1 : stop])
            spans.setdefault(word, []).extend(range(start, stop))
        start = max(stop, start + 1)
    return {word: attention[places].mean(0).float().cpu().numpy() for word, places in list(spans.items())[:limit]}
