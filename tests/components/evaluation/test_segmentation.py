# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.metrics import compute_dice
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch.utils.data import DataLoader

from radbundles.components.data import collate_frames, load_segmentation_items
from radbundles.components.engines import move_batch
from radbundles.components.evaluation import (
    FitOperatingPoints,
    SegmentationEvaluator,
    SegmentationTable,
    WriteEvaluation,
    evaluate_segmentation,
    sample_facts,
)
from radbundles.components.evaluation.segmentation_rows import MaskRow, unpack_mask
from radbundles.components.metrics.segmentation_histogram import LEVELS
from radbundles.losses import SegmentationObjective
from radbundles.transforms import FitRadiographd, FittedFrame, LoadRadiographd, LoadTargetsd

CLASSES = ("lung", "lesion", "scar")
SIDE = 32
SHAPES = [(48, 40), (40, 64), (500, 30), (33, 33), (56, 44)]
# What is written of the lesion: a mask, an empty mask, nothing (absent), a label of unknown, a box.
LESIONS = ["mask", "empty", "nothing", "unknown", "box"]


def smooth(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    values = gaussian_filter(generator.normal(size=shape), 4)
    return np.asarray(values / values.std())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A datalist with five images of as many sizes in validation, and the same in test."""
    generator = np.random.default_rng(0)
    sections: dict[str, list[dict[str, Any]]] = {"validation": [], "test": []}
    for section, items in sections.items():
        for number, (shape, lesion) in enumerate(zip(SHAPES, LESIONS, strict=True)):
            id = f"{section}-{number}"
            item: dict[str, Any] = {"id": id, "image": f"{id}.png", "patient": f"person{number // 2}"}
            item |= {"sex": "FM"[number % 2], "masks": {"lung": f"{id}.lung.png"}}
            Image.fromarray(generator.integers(0, 255, shape, np.uint8)).save(tmp_path / item["image"])
            drawn = {"lung": smooth(generator, shape) > 0}
            if lesion in ("mask", "empty"):
                drawn["lesion"] = (smooth(generator, shape) > 1.2) & (lesion == "mask")
                item["masks"]["lesion"] = f"{id}.lesion.png"
            elif lesion == "unknown":
                item["labels"] = {"lesion": -1}
            elif lesion == "box":
                item["boxes"] = {"lesion": [[5, 6, 20, 30]]}
            for name, mask in drawn.items():
                Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / f"{id}.{name}.png")
            items.append(item)
    (tmp_path / "datalist.json").write_text(json.dumps(sections), encoding="utf-8")
    return tmp_path


class Guess(torch.nn.Module):
    """Logits that depend on the image alone; a scar is seen nowhere."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        blurred = torch.nn.functional.avg_pool2d(image, 9, stride=1, padding=4, count_include_pad=False)
        far = torch.full_like(blurred, -9.0)
        return torch.cat([12 * (blurred - 0.45), 30 * (blurred - 0.52), far], 1)


def section_of(folder: Path, section: str) -> tuple[Any, DataLoader[Any]]:
    items = load_segmentation_items(folder / "datalist.json", section, CLASSES, boxes=True)
    transforms = (LoadRadiographd("image"), FitRadiographd("image", size=SIDE), LoadTargetsd(CLASSES))

    def sample(item: Any) -> Any:
        for transform in transforms:
            item = transform(item)
        return item

    samples: Any = [sample(item) for item in items]
    return items, DataLoader(samples, batch_size=2, collate_fn=collate_frames)


def engine(loader: Any, *handlers: Any) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=SegmentationObjective(Guess()),
        prepare_batch=move_batch,
        inferer=SimpleInferer(),
        val_handlers=list(handlers),
        decollate=False,
    )


def outputs(loader: Any) -> list[dict[str, Any]]:
    return [{"image": batch, "pred": {"logits": Guess()(batch["image"])}} for batch in loader]


def collected(folder: Path, section: str, **options: Any) -> tuple[SegmentationEvaluator, dict[str, list[MaskRow]]]:
    items, loader = section_of(folder, section)
    evaluator = SegmentationEvaluator(CLASSES, items, **options)
    return evaluator, {id: row for output in outputs(loader) for id, row in evaluator.collect(output).items()}


def truths(folder: Path, section: str) -> dict[tuple[str, str], torch.Tensor]:
    """Masks in original pixels by id and class, drawn without the package's reader."""
    found = {}
    for item in json.loads((folder / "datalist.json").read_text())[section]:
        with Image.open(folder / item["image"]) as image:
            empty = torch.zeros(image.height, image.width, dtype=torch.bool)
        for name in CLASSES:
            if item.get("labels", {}).get(name) == -1:
                continue
            found[item["id"], name] = empty.clone()
            if name in item["masks"]:
                with Image.open(folder / item["masks"][name]) as drawn:
                    found[item["id"], name] = torch.from_numpy(np.asarray(drawn) > 0)
            for x0, y0, x1, y1 in item.get("boxes", {}).get(name, []):
                found[item["id"], name][y0:y1, x0:x1] = True
    return found


def maps(folder: Path, section: str) -> dict[tuple[str, str], torch.Tensor]:
    """Logits in original pixels by id and class."""
    found: dict[tuple[str, str], torch.Tensor] = {}
    for output in outputs(section_of(folder, section)[1]):
        batch = output["image"]
        for id, logits, (height, width) in zip(
            batch["id"], output["pred"]["logits"], batch["size"].tolist(), strict=True
        ):
            restored = FittedFrame(height, width, SIDE).to_original(logits)
            found |= {(id, name): restored[place] for place, name in enumerate(CLASSES)}
    return found


def dice(logits: torch.Tensor, truth: torch.Tensor, level: float = 0.0) -> float:
    """MONAI's; nan where there is nothing."""
    return float(compute_dice((logits >= level)[None, None], truth[None, None]))


def test_rows_are_scored_in_original_pixels_as_by_monai(folder: Path) -> None:
    evaluator, rows = collected(folder, "test")
    table = SegmentationTable.of(rows, sample_facts(evaluator.items), CLASSES)
    truth, logits = truths(folder, "test"), maps(folder, "test")
    keys = [(id, CLASSES[place]) for id, place in zip(table.ids, table.places.tolist(), strict=True)]
    assert set(keys) == set(truth)  # the unknown lesion has no row
    wanted = [dice(logits[key], truth[key]) for key in keys]
    assert table.scores["dice"].tolist() == pytest.approx(wanted, nan_ok=True)
    assert table.present.tolist() == [bool(truth[key].any()) for key in keys]
    assert sum(table.present) == 5 + 2  # lungs; the lesions with a mask that has pixels, and with a box
    assert np.isnan(table.scores["hausdorff95_mm"]).all()  # PNG files without a spacing


def test_unknown_classes_are_never_looked_at(folder: Path) -> None:
    items, loader = section_of(folder, "test")
    evaluator = SegmentationEvaluator(CLASSES, items)
    output = next(output for output in outputs(loader) if "test-3" in output["image"]["id"])
    place = output["image"]["id"].index("test-3")
    output["pred"]["logits"][place, 1] = math.nan
    assert [row.place for row in evaluator.collect(output)["test-3"]] == [0, 2]
    output["pred"]["logits"][place, 0] = math.nan
    with pytest.raises(ValueError, match="id 'test-3': a logit is not a number"):
        evaluator.collect(output)


def test_distances_in_millimeters_where_the_spacing_is_known(folder: Path) -> None:
    items, loader = section_of(folder, "test")
    output = outputs(loader)[0]
    square, oblong = (0.5, 0.5), (0.5, 2.0)
    output["image"]["spacing"] = torch.tensor([square, oblong], dtype=torch.float64)
    rows = SegmentationEvaluator(CLASSES, items).collect(output)
    first, second = (rows[id][0] for id in ("test-0", "test-1"))
    assert first.distance_mm == pytest.approx(first.distance / 2)
    assert second.distance / 2 < second.distance_mm < second.distance * 2
    assert math.isnan(SegmentationEvaluator(CLASSES, items, distances=False).collect(output)["test-0"][0].distance)


def test_threshold_is_the_best_of_validation(folder: Path) -> None:
    evaluator, rows = collected(folder, "validation", distances=False)
    points = evaluator.fit_points(rows)
    truth, logits = truths(folder, "validation"), maps(folder, "validation")
    for name in ("lung", "lesion"):
        keys = [key for key in truth if key[1] == name and truth[key].any()]
        means = {level: np.mean([dice(logits[key], truth[key], level) for key in keys]) for level in LEVELS}
        level = math.log(points["thresholds"][name] / (1 - points["thresholds"][name])) * points["temperature"][name]
        assert means[min(means, key=lambda tried: abs(tried - level))] == pytest.approx(max(means.values()))
        assert max(means.values()) > means[0.0]  # so that a half would have failed
    assert points["thresholds"]["scar"] is None and points["temperature"]["scar"] is None
    assert points["samples"] == 5 and points["rule"] == "dice"


def test_official_rule_counts_false_alarms(folder: Path) -> None:
    """The lesion is absent in two of four images, which only the highest threshold leaves silent."""
    evaluator, rows = collected(folder, "validation", rule="official_dice")
    points, usual = evaluator.fit_points(rows), collected(folder, "validation")[0].fit_points(rows)
    assert points["thresholds"]["lesion"] > usual["thresholds"]["lesion"]
    with pytest.raises(ValueError, match="rule must be one of dice, official_dice, got 'youden'"):
        SegmentationEvaluator(CLASSES, [], rule="youden")


def test_engines_fit_points_and_judge_by_them(folder: Path) -> None:
    items, loader = section_of(folder, "validation")
    path = folder / "points.json"
    engine(loader, FitOperatingPoints(SegmentationEvaluator(CLASSES, items, distances=False), path)).run()
    points = json.loads(path.read_text())

    items, loader = section_of(folder, "test")
    evaluator = SegmentationEvaluator(CLASSES, items, points=path, resamples=50)
    judge = engine(loader, WriteEvaluation(evaluator, folder / "found", items, points=path, columns=["sex"]))
    judge.run()

    result = json.loads((folder / "found/evaluation.json").read_text())
    truth, logits = truths(folder, "test"), maps(folder, "test")
    lungs = [key for key in truth if key[1] == "lung"]
    cut = points["thresholds"]["lung"]
    level = math.log(cut / (1 - cut)) * points["temperature"]["lung"]
    wanted = np.mean([dice(logits[key], truth[key], level) for key in lungs])
    lung, low, high = result["classes"]["lung"]["dice"]
    assert lung == pytest.approx(wanted) and low < lung < high
    assert lung != pytest.approx(np.mean([dice(logits[key], truth[key]) for key in lungs]))  # at a half
    assert result["classes"]["lesion"]["unknown"] == 1 and result["classes"]["scar"]["dice"] == [None] * 3
    assert result["mean"]["dice"][0] == pytest.approx((lung + result["classes"]["lesion"]["dice"][0]) / 2)
    assert (result["samples"], result["patients"]) == (5, 3)
    assert {value: group["samples"] for value, group in result["subgroups"]["sex"].items()} == {"F": 3, "M": 2}
    assert judge.state.metrics["dice"] == pytest.approx(result["mean"]["dice"][0])
    assert result["calibration"]["after"]["ece"][0] < result["calibration"]["before"]["ece"][0]
    assert any("scar" in note for note in result["notes"]) and any("Unknown" in note for note in result["notes"])

    page = (folder / "found/report.html").read_text()
    assert page.count("data:image/png") == 2 * 3  # worst, middle and best of the classes that occur
    written = page + (folder / "found/evaluation.json").read_text() + (folder / "found/predictions.csv").read_text()
    assert "person" not in written


def test_a_table_that_was_read_again_gives_the_same_result(folder: Path) -> None:
    evaluator, rows = collected(folder, "test", resamples=40)
    facts = sample_facts(evaluator.items, ["sex"])
    result, _, table = evaluator.finish(rows, None, facts)
    path = folder / "rows.csv"
    table.hashed("salt").write(path)
    assert "test-0" not in path.read_text()
    read = SegmentationTable.read(path, CLASSES)
    again = evaluate_segmentation(read, None, resamples=40)
    assert again["classes"].keys() == result["classes"].keys()
    for name, wanted in result["classes"].items():
        for key, value in wanted.items():
            assert again["classes"][name][key] == pytest.approx(value, rel=1e-8, nan_ok=True), (name, key)
    assert again["mean"]["ece"] == pytest.approx(result["mean"]["ece"])
    assert again["subgroups"].keys() == result["subgroups"].keys() == {"sex"}
    assert again["notes"] == result["notes"]


def test_reading_names_the_row_that_is_wrong(folder: Path) -> None:
    evaluator, rows = collected(folder, "test", distances=False)
    path = folder / "rows.csv"
    SegmentationTable.of(rows, sample_facts(evaluator.items), CLASSES).write(path)
    lines = list(csv.reader(path.read_text().splitlines()))
    for column, value, message in ((3, "x", "row 4: .*'x'"), (2, "heart", "row 4: 'heart' is none of")):
        changed = [list(line) for line in lines]
        changed[3][column] = value
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(changed)
        with pytest.raises(ValueError, match=message):
            SegmentationTable.read(path, CLASSES)
    path.write_text("id,logit lung\n")
    with pytest.raises(ValueError, match="no table of masks"):
        SegmentationTable.read(path)


def test_refuses_other_points_than_the_masks_were_cut_at(folder: Path) -> None:
    evaluator, rows = collected(folder, "test", distances=False)
    points = {
        "task": "segmentation",
        "classes": list(CLASSES),
        "thresholds": {"lung": 0.3, "lesion": 0.5, "scar": None},
        "temperature": dict.fromkeys(CLASSES, 2.0),
    }
    with pytest.raises(ValueError, match="masks of 'lung' were cut at other operating points"):
        evaluator.finish(rows, points, sample_facts(evaluator.items))
    with pytest.raises(ValueError, match="are for task 'detection'"):
        SegmentationEvaluator(CLASSES, evaluator.items, points=points | {"task": "detection"})
    with pytest.raises(ValueError, match="threshold of 'lung' must be between 0 and 1, got 1.0"):
        SegmentationEvaluator(CLASSES, evaluator.items, points=points | {"thresholds": dict.fromkeys(CLASSES, 1.0)})


def test_refuses_batches_and_items_that_do_not_fit(folder: Path) -> None:
    items, loader = section_of(folder, "test")
    output = outputs(loader)[0]
    with pytest.raises(ValueError, match=r"the classes are \['heart'\], but the labels of the items"):
        SegmentationEvaluator(["heart"], items)
    with pytest.raises(ValueError, match="id 'test-0': it is none of the items"):
        SegmentationEvaluator(CLASSES, items.subset([1, 2])).collect(output)
    del output["image"]["size"]
    with pytest.raises(ValueError, match="has no 'size'.*collate_frames"):
        SegmentationEvaluator(CLASSES, items).collect(output)


def test_rows_travel_between_processes_and_stay_small(folder: Path) -> None:
    _, rows = collected(folder, "test")
    travelled = pickle.loads(pickle.dumps(rows))
    for id, image in rows.items():
        for row, other in zip(image, travelled[id], strict=True):
            assert (row.histogram == other.histogram).all() and row[:8] == pytest.approx(other[:8], nan_ok=True)
            assert (unpack_mask(row) == unpack_mask(other)).all()
            assert max(row.shape) <= 384
    tall = rows["test-2"][0]  # 500 x 30
    assert tall.shape == (384, 23)
    assert unpack_mask(tall).mean() == pytest.approx(tall.predicted / tall.pixels, abs=0.02)
