# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from monai.data import Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, RepeatChanneld
from PIL import Image

from radbundles.components.inference import ImageBatches, RequireRadiographd, gather_images
from radbundles.components.inference.panel_sheet import BOX
from radbundles.components.zero_shot import (
    DenseZeroShot,
    PreviewRadiographd,
    WriteFindings,
    ZeroShot,
    ZeroShotInferer,
    findings_schema,
)
from radbundles.transforms import FitRadiographd, LoadRadiographd

MODEL = {"name": "known", "version": "1.2.3"}
TRANSFORM = Compose(
    [
        LoadRadiographd("image"),
        RequireRadiographd("image"),
        PreviewRadiographd("image", size=256),
        FitRadiographd("image", size=128),
        RepeatChanneld("image", repeats=3),
    ]
)


def save(path: Path, height: int, width: int, row: int, column: int) -> None:
    """Save an image that is bright in one quadrant."""
    pixels = np.full((height, width), 25, dtype=np.uint8)
    top, left = row * height // 2, column * width // 2
    pixels[top : top + height // 2, left : left + width // 2] = 230
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def run(
    known: ZeroShot, folder: Path, out: Path, options: dict[str, Any] | None = None, **asked: Any
) -> list[dict[str, Any]]:
    inferer = ZeroShotInferer(known, **asked)
    written: list[dict[str, Any]] = []
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=ImageBatches(
            Dataset(gather_images([folder]), TRANSFORM), faults=out / "faults.jsonl", batch_size=2
        ),
        network=known.network,
        inferer=inferer,
        val_handlers=[WriteFindings(out, inferer, model=MODEL, on_image=written.append, **options or {})],
        decollate=False,
    )
    evaluator.run()
    return written


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    save(folder / "wide.png", 200, 380, 1, 0)
    save(folder / "tall.png", 500, 260, 0, 1)
    save(folder / "sub" / "wide.png", 128, 128, 1, 1)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def test_findings_lie_where_they_are_in_each_image(known: ZeroShot, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = run(known, films, out, phrases=["bright"], classes=["Dark"])
    assert [record["image"] for record in written] == ["sub/wide.png", "tall.png", "wide.png"]
    truth = {"wide.png": [0, 100, 190, 200], "tall.png": [130, 0, 260, 250], "sub/wide.png": [64, 64, 128, 128]}
    for record in written:
        Draft202012Validator(findings_schema()).validate(record)
        [bright] = record["phrases"]
        x0, y0, x1, y1 = truth[record["image"]]
        width, height = record["size"]
        cell = max(width, height) / 16
        assert np.abs(np.subtract(bright["boxes"][0]["box"], truth[record["image"]])).max() <= 1.5 * cell
        assert x0 <= bright["point"][0] <= x1 and y0 <= bright["point"][1] <= y1
        [dark] = record["classes"]
        assert not (x0 < dark["point"][0] < x1 and y0 < dark["point"][1] < y1)
        assert dark["measure"] == "cosine" and record["model"] == MODEL and record["warnings"] == []
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 7 and "faults.jsonl" in names and "wide.png.json" in names
    assert json.loads((out / "wide.png.json").read_text()) == written[2]
    assert [json.loads(line)["id"] for line in (out / "faults.jsonl").read_text().splitlines()] == ["broken.png"]


def test_the_picture_has_the_proportions_of_the_image_and_the_box_in_place(
    known: ZeroShot, films: Path, tmp_path: Path
) -> None:
    run(known, films, tmp_path / "out", phrases=["bright"])
    with Image.open(tmp_path / "out" / "tall.png.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The preview was cut to 256 pixels, and drawn larger to have room for the title.
    assert pixels.shape[1] == round(320 * 260 / 500) and 320 < pixels.shape[0] < 360
    drawn = np.argwhere(np.abs(pixels - np.array(BOX)).sum(axis=2) < 30)
    left, right = drawn[:, 1].min() / pixels.shape[1], drawn[:, 1].max() / pixels.shape[1]
    assert left == pytest.approx(0.5, abs=0.12) and right == pytest.approx(1, abs=0.12)
    head = pixels.shape[0] - 320
    assert (drawn[:, 0].max() - head) / 320 == pytest.approx(0.5, abs=0.12)


def test_one_panel_for_each_thing_asked(known: ZeroShot, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(known, films, out, phrases=["bright", "dark", "a bright"], classes=["Half"])
    with Image.open(next(out.glob("sub_*.png"))) as picture:
        assert picture.width > 2 * 300 and picture.height > 2 * 300


def test_an_oddity_is_told_in_the_findings(known: ZeroShot, tmp_path: Path) -> None:
    save(tmp_path / "films" / "long.png", 100, 300, 0, 0)
    [record] = run(known, tmp_path / "films", tmp_path / "out", phrases=["bright"])
    assert len(record["warnings"]) == 1 and "unusual shape" in record["warnings"][0]


def test_denials_are_told_by_the_measure(known: ZeroShot, tmp_path: Path) -> None:
    save(tmp_path / "films" / "a.png", 128, 128, 0, 0)
    [record] = run(known, tmp_path / "films", tmp_path / "out", classes=["Bright"], negatives=True)
    [one] = record["classes"]
    assert one["measure"] == "against denial" and 0 <= one["similarity"] <= 1 and one["boxes"]


def test_the_inferer_says_early_what_it_cannot_look_for(known: ZeroShot, known_dense: DenseZeroShot) -> None:
    with pytest.raises(ValueError, match="nothing to look for"):
        ZeroShotInferer(known)
    with pytest.raises(KeyError, match="no class 'Gray'"):
        ZeroShotInferer(known, classes=["Gray"])
    with pytest.raises(ValueError, match="no negative prompts for Half"):
        ZeroShotInferer(known, classes=["Half"], negatives=True)
    with pytest.raises(ValueError, match="different texts"):
        ZeroShotInferer(known, phrases=["bright", "bright"])
    with pytest.raises(ValueError, match="does not compare with denials"):
        ZeroShotInferer(known_dense, classes=["Bright"], negatives=True)


def test_a_network_with_cost_aggregation_gives_scores_masks_and_outlines(
    known_dense: DenseZeroShot, films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    written = run(known_dense, films, out, {"masks": True}, phrases=["bright"], classes=["Dark", "Bright"])
    truth = {"wide.png": [0, 100, 190, 200], "tall.png": [130, 0, 260, 250], "sub/wide.png": [64, 64, 128, 128]}
    for record in written:
        Draft202012Validator(findings_schema()).validate(record)
        assert "score is no probability" in record["note"]
        x0, y0, x1, y1 = truth[record["image"]]
        cell = max(record["size"]) / 16
        [phrase], [dark, bright] = record["phrases"], record["classes"]
        assert [one["measure"] for one in (phrase, dark, bright)] == ["score"] * 3
        assert phrase["boxes"] == bright["boxes"] and 0.5 < bright["peak"] <= 1
        assert np.abs(np.subtract(bright["boxes"][0]["box"], truth[record["image"]])).max() <= cell
        [polygon] = bright["polygons"]
        extent = [*np.min(polygon["exterior"], axis=0), *np.max(polygon["exterior"], axis=0)]
        assert np.abs(np.subtract(extent, truth[record["image"]])).max() <= cell
        with Image.open(out / bright["mask"]) as picture:
            mask = np.asarray(picture) > 0
        assert list(mask.shape) == record["size"][::-1]
        assert mask[y0:y1, x0:x1].mean() > 0.8 and mask.sum() - mask[y0:y1, x0:x1].sum() < 0.2 * mask.sum()
        assert dark["mask"].endswith("/Dark.png") and "nifti" not in dark
    # Points stand on one line, and what is written is what is told.
    text = (out / "wide.png.json").read_text()
    assert json.loads(text) == written[2] and '"size": [380, 200]' in text and '"exterior": [[' in text


def test_the_masks_of_scores_are_outlined_in_the_picture(
    known_dense: DenseZeroShot, films: Path, tmp_path: Path
) -> None:
    run(known_dense, films, tmp_path / "out", {"masks": True}, classes=["Bright"])
    with Image.open(tmp_path / "out" / "tall.png.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    drawn = np.argwhere(np.abs(pixels - np.array(BOX)).sum(axis=2) < 30)
    head = pixels.shape[0] - 320
    assert drawn[:, 1].min() / pixels.shape[1] == pytest.approx(0.5, abs=0.12)
    assert (drawn[:, 0].max() - head) / 320 == pytest.approx(0.5, abs=0.12)


def test_texts_keep_their_line_breaks_and_brackets(known_dense: DenseZeroShot, tmp_path: Path) -> None:
    save(tmp_path / "films" / "a.png", 128, 128, 0, 0)
    phrase = "bright [\n  1,\n  2\n]"
    [record] = run(known_dense, tmp_path / "films", tmp_path / "out", phrases=[phrase])
    assert record["phrases"][0]["text"] == phrase
    assert json.loads((tmp_path / "out" / "a.png.json").read_text()) == record


def test_nifti_needs_masks(known_dense: DenseZeroShot, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give masks=True as well"):
        WriteFindings(tmp_path, ZeroShotInferer(known_dense, phrases=["bright"]), model=MODEL, nifti=True)


def test_a_model_has_name_and_version(known: ZeroShot, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name and a version"):
        WriteFindings(tmp_path, ZeroShotInferer(known, phrases=["bright"]), model={"name": "known"})


def test_the_schema_is_valid_and_refuses_what_is_not_of_it() -> None:
    schema = findings_schema()
    Draft202012Validator.check_schema(schema)
    assert not Draft202012Validator(schema).is_valid({"image": "a.png", "patient": "x"})
