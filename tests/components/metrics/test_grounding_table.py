# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of grounding scores: its means, its margin over a centered box, and what it writes."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from radbundles.components.metrics import (
    GROUNDING_SCORES,
    PROTOCOLS,
    GroundingProtocol,
    GroundingTable,
    bootstrap_interval,
    centered_box_map,
    grounding_scores,
)

CLASSES = ("effusion", "nodule")
SECRET = "a small nodule beside the hilum of Mr. Doe"


def images(count: int = 12) -> list[dict[str, Any]]:
    """Images of different sizes with one to three phrases; every third pair is of one patient."""
    random = torch.Generator().manual_seed(0)
    found = []
    for place in range(count):
        P, H, W = 1 + place % 3, 20 + place, 30 - place
        masks = torch.rand(P, H, W, generator=random) > 0.8
        maps = (torch.rand(P, H, W, generator=random) + masks).tanh()
        groups = [(*CLASSES, SECRET)[(place + k) % 3] for k in range(P)]
        found.append({"id": f"i{place}", "patient": f"p{place // 3}", "groups": groups, "maps": maps, "masks": masks})
    return found


def filled(table: GroundingTable, rows: list[dict[str, Any]]) -> GroundingTable:
    for row in rows:
        table.update(row["id"], row["groups"], row["maps"], row["masks"], patient=row["patient"])
    return table


def box_maps(masks: torch.Tensor) -> torch.Tensor:
    P, H, W = masks.shape
    return centered_box_map(H, W).expand(P, H, W)


def test_means_are_those_of_the_single_samples() -> None:
    rows = images()
    signed = GroundingProtocol(name="signed", cnr="signed", scale="cosine", average="sample")
    summary = filled(GroundingTable(["dcxfm", signed], classes=CLASSES, resamples=200, seed=3), rows).summary()
    assert (summary["samples"], summary["images"]) == (24, 12)
    groups = [group if group in CLASSES else "phrases" for row in rows for group in row["groups"]]
    patients = [row["patient"] for row in rows for _ in row["groups"]]
    for protocol in (PROTOCOLS["dcxfm"], signed):
        entry = summary["protocols"][protocol.name]
        assert entry["protocol"] == str(protocol)
        found = [grounding_scores(row["maps"], row["masks"], protocol) for row in rows]
        boxes = [
            grounding_scores(
                centered_box_map(*row["masks"].shape[1:]).expand(row["masks"].shape), row["masks"], protocol
            )
            for row in rows
        ]
        for score in GROUNDING_SCORES:
            model, box = (np.concatenate([part[score].numpy() for part in parts]) for parts in (found, boxes))
            for method, values in (("model", model), ("centered box", box), ("margin", model - box)):
                by_class = {"groups": groups, "statistic": "class_mean"} if protocol.average == "class" else {}
                expected = bootstrap_interval(values, clusters=patients, resamples=200, seed=3, **by_class)  # type: ignore[arg-type]
                assert entry["mean"][method][score] == pytest.approx(list(expected), abs=1e-12)
            for name in (*CLASSES, "phrases"):
                member = np.array(groups) == name
                assert entry["classes"][name]["samples"] == member.sum()
                assert entry["classes"][name]["model"][score][0] == pytest.approx(model[member].mean(), abs=1e-12)


def test_margin_of_a_good_model_lies_above_zero() -> None:
    rows = images(30)
    summary = filled(GroundingTable(), rows).summary()
    for score in ("iou", "dice", "cnr"):
        low = summary["protocols"]["dcxfm"]["mean"]["margin"][score][1]
        assert low > 0
    for row in rows:  # the baseline as a model of its own
        row["maps"] = box_maps(row["masks"])
    margin = filled(GroundingTable(), rows).summary()["protocols"]["dcxfm"]["mean"]["margin"]
    assert all(bounds == [0, 0, 0] for bounds in margin.values())


def test_file_names_classes_and_hides_phrases(tmp_path: Path) -> None:
    rows = images(5)
    table = filled(GroundingTable(["dcxfm", "biovil"], classes=CLASSES, resamples=10), rows)
    table.write_csv(tmp_path / "new" / "table.csv")
    text = (tmp_path / "new" / "table.csv").read_text()
    lines = list(csv.DictReader(text.splitlines()))
    assert len(lines) == sum(len(row["groups"]) for row in rows) * 2 * 2
    assert {line["class"] for line in lines} == {*CLASSES, ""}
    hidden = {line["phrase"] for line in lines if not line["class"]}
    assert hidden == {hashlib.sha256(SECRET.encode()).hexdigest()[:12]}
    assert "Doe" not in text + json.dumps(table.summary()) and "p0" not in text + json.dumps(table.summary())
    line = next(line for line in lines if (line["method"], line["protocol"], line["id"]) == ("model", "biovil", "i0"))
    expected = grounding_scores(rows[0]["maps"], rows[0]["masks"], "biovil")
    for score in GROUNDING_SCORES:
        assert float(line[score]) == pytest.approx(expected[score].item(), rel=1e-5)


def test_image_that_comes_twice_counts_once_and_order_does_not_matter() -> None:
    rows = images()
    once = filled(GroundingTable(resamples=20), rows)
    twice = filled(GroundingTable(resamples=20), [*rows[::-1], *rows[:4]])
    for table in (once, twice):
        table.merge()
    assert once.summary() == twice.summary()


def test_images_without_patient_are_drawn_one_by_one() -> None:
    rows = images()
    by_patient = filled(GroundingTable(resamples=200), rows).summary()
    for row in rows:
        row["patient"] = None
    assert filled(GroundingTable(resamples=200), rows).summary() != by_patient


def test_nothing_defined_is_null_and_nothing_added_is_empty() -> None:
    table = GroundingTable(resamples=10)
    assert table.summary() == {"samples": 0, "images": 0, "protocols": {}}
    table.update("a", [], torch.zeros(0, 5, 5), torch.zeros(0, 5, 5, dtype=torch.bool))
    assert table.summary() == {"samples": 0, "images": 1, "protocols": {}}
    table.update("b", ["x"], torch.rand(1, 5, 5), torch.ones(1, 5, 5, dtype=torch.bool))
    summary = table.summary()
    assert summary["protocols"]["dcxfm"]["mean"]["model"]["cnr"] == [None, None, None]
    assert "cnr not defined" in table.describe(summary)


def test_text_has_the_protocol_above_its_numbers() -> None:
    table = filled(GroundingTable(["dcxfm", "afloc"], resamples=10), images())
    lines = table.describe(table.summary()).splitlines()
    assert lines[0] == "24 samples of 12 images"
    assert [lines[1], lines[5]] == [str(PROTOCOLS["dcxfm"]), str(PROTOCOLS["afloc"])]
    assert [line.split("  iou")[0].strip() for line in lines[2:5]] == ["model", "centered box", "margin"]


@pytest.mark.parametrize("protocols", [[], ["dcxfm", "dcxfm"], ["gloria"]])
def test_wrong_protocols_are_refused(protocols: list[str]) -> None:
    with pytest.raises(ValueError, match="protocol"):
        GroundingTable(protocols)


def test_faults_name_the_image() -> None:
    table = GroundingTable()
    masks = torch.ones(1, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"id 'x': 2 groups need maps \[2, H, W\], got \[1, 4, 4\]"):
        table.update("x", ["a", "b"], torch.rand(1, 4, 4), masks)
    with pytest.raises(ValueError, match="id 'x': map 0 has pixels that are not finite"):
        table.update("x", ["a"], torch.full((1, 4, 4), torch.nan), masks)
