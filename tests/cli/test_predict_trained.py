# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles that training runs have made answer for their classes, with nothing said but where the images are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from PIL import Image
from typer.testing import CliRunner, Result

import radbundles.cli.pack_command as pack_command
import radbundles.cli.predict_command as predict_command
from radbundles.cli.app import app
from radbundles.components.hub import pack_run
from radbundles.components.inference import answer_schema
from radbundles.components.phantom import write_phantoms
from radbundles.networks import EncoderClassifier, EncoderSegmenter, build_detector, build_encoder

assert predict_command and pack_command  # their import is what registers the commands

ENCODER = {"kind": "vit", "patch_size": 16, "dim": 16, "depth": 1, "heads": 2}
SIZE = 64
CLASSES = ["left lung", "50% stenosis, or more"]
Trained = Callable[..., Path]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "400"})


def points(task: str, threshold: float) -> dict[str, Any]:
    multi = task == "multiclass"
    return {
        "task": task,
        "classes": CLASSES,
        "section": "validation",
        "rule": "youden",
        "samples": 20,
        "thresholds": dict.fromkeys(CLASSES, None if multi else threshold),
        "temperature": {"all": 1.5} if multi else dict.fromkeys(CLASSES, 1.5),
    }


@pytest.fixture(scope="module")
def trained(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Make the bundle that a training run of a task would have made; its network is untrained."""

    def make(task: str, threshold: float = 0.5) -> Path:
        torch.manual_seed(0)
        encoder = build_encoder(ENCODER, image_size=SIZE)
        settings: dict[str, Any] = {"image_size": SIZE, "encoder": ENCODER}
        network: torch.nn.Module
        if task in ("multilabel", "multiclass"):
            name, network = "ecamp_classification", EncoderClassifier(encoder, len(CLASSES))
            settings["task"] = task
        elif task == "segmentation":
            settings["decoder_widths"] = [8, 8, 8, 8]
            name, network = "ecamp_segmentation", EncoderSegmenter(encoder, len(CLASSES), widths=(8, 8, 8, 8))
        else:
            settings["detector"] = {"kind": "retinanet", "out_channels": 16}
            name = "ecamp_detection"
            network = build_detector(settings["detector"], encoder, len(CLASSES), image_size=SIZE)
        folder = tmp_path_factory.mktemp(task)
        torch.save(network.state_dict(), folder / "model.pt")
        return pack_run(
            bundle_root=repository / "bundles" / name,
            out=folder / "bundle",
            weights=folder / "model.pt",
            settings=settings,
            classes=CLASSES,
            points=points(task, threshold),
        )

    return make


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    made = write_phantoms(tmp_path_factory.mktemp("made"), count=4, seed=5, size=128).parent / "images"
    next(made.glob("*.dcm")).rename(folder / "film.dcm")
    next(made.glob("*.png")).rename(folder / "film #1 @50%.png")
    Image.fromarray(np.full((128, 128), 90, dtype=np.uint8)).save(folder / "constant.png")
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("film*.json"))]
    for record in found:
        Draft202012Validator(answer_schema()).validate(record)
        assert record["size"] == [128, 128] and [one["name"] for one in record["classes"]] == CLASSES
        assert "Phantom^" not in json.dumps(record)
    return found


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_labels_are_answered_with_the_run_s_own_thresholds(
    trained: Trained, films: Path, tmp_path: Path, task: str
) -> None:
    done = run("predict", films, "--bundle", trained(task, 0.25), "--out", tmp_path)
    assert done.exit_code == 1, done.output
    assert "2 images answered" in done.stdout and "1 image refused" in done.stdout and "blank" in done.stderr
    found = records(tmp_path)
    assert len(found) == 2 and {record["task"] for record in found} == {task}
    assert {row["image"] for row in table(tmp_path / "predictions.csv")} == {"film.dcm", "film #1 @50%.png"}
    if task == "multilabel":
        # The head of an untrained classifier is near zero.
        assert all(one["present"] and one["threshold"] == 0.25 for record in found for one in record["classes"])
        assert done.stdout.count("yes  probability 0.5") == 4
    else:
        assert all(f"{record['answer']:40} probability 0.5" in done.stdout for record in found)


def test_masks_are_answered_in_the_pixels_of_the_image(trained: Trained, films: Path, tmp_path: Path) -> None:
    bundle = trained("segmentation")
    done = run("predict", films / "film.dcm", "--bundle", bundle, "--out", tmp_path, "--nifti", "--threshold", "0.45")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("% of the image") == 2 and "cm²" in done.stdout
    [record] = records(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()]
    stems = ("left_lung", "50_stenosis_or_more")
    assert sorted(names) == sorted(
        [
            *("areas.csv", "film.dcm.json", "film.dcm.png"),
            *(f"film.dcm.masks/{stem}.{suffix}" for stem in stems for suffix in ("png", "nii.gz")),
        ]
    )
    for one in record["classes"]:
        assert (one["threshold"], one["threshold_from"]) == (0.45, "user")
        with Image.open(tmp_path / one["mask"]) as picture:
            assert picture.size == (128, 128) and int((np.asarray(picture) > 0).sum()) == one["area"]


def test_boxes_are_answered_in_the_pixels_of_the_image(trained: Trained, films: Path, tmp_path: Path) -> None:
    low = ("--threshold", "0.001")  # an untrained detector is sure of nothing
    done = run("predict", films / "film.dcm", "--bundle", trained("detection"), "--out", tmp_path, *low)
    assert done.exit_code == 0, done.output
    [record] = records(tmp_path)
    boxes = [found["box"] for one in record["classes"] for found in one["boxes"]]
    assert boxes and len(table(tmp_path / "boxes.csv")) == len(boxes)
    assert all(0 <= x0 < x1 <= 128 and 0 <= y0 < y1 <= 128 for x0, y0, x1, y1 in boxes)
    assert sum(line.startswith(f"  {name}") for name in CLASSES for line in done.stdout.splitlines()) == len(boxes)
    strict = run("predict", films / "film.dcm", "--bundle", trained("detection"), "--out", tmp_path / "none")
    assert strict.exit_code == 0 and "  no box\n" in strict.stdout
    assert table(tmp_path / "none" / "boxes.csv") == []


def test_options_without_a_sense_are_refused_by_name(trained: Trained, films: Path, tmp_path: Path) -> None:
    one, many, masks = trained("multiclass"), trained("multilabel"), trained("segmentation")
    common = (films / "film.dcm", "--out", tmp_path / "out")
    cases: tuple[tuple[tuple[str | Path, ...], str], ...] = (
        (("--bundle", many, "--phrase", "effusion"), "is not asked in words: leave out --phrase"),
        (("--bundle", many, "--class", "x", "--prompts", "chest"), "leave out --class and --prompts"),
        (("--bundle", masks, "--tokenizer", "t.json", "--min-similarity", "0"), "--min-similarity and --tokenizer"),
        (("--bundle", many, "--nifti"), "this bundle writes none: leave it out"),
        (("--bundle", one, "--threshold", "0.5"), "names the class of the highest probability"),
        (("--bundle", many, "--threshold", "1"), "threshold must lie between 0 and 1"),
        (("--bundle", many, "--weights", "none.pt"), "no weights at none.pt"),
        (("--bundle", "ecamp_detection"), "name the one that a training run has made, OUTPUT_DIR/bundle"),
        (("--bundle", masks, "--weights", many / "models" / "model.pt"), "does not fit the network"),
    )
    for options, message in cases:
        done = run("predict", *common, *options)
        told = " ".join(done.stderr.replace("│", " ").split())
        assert done.exit_code == 2 and message in told and "Traceback" not in told, f"{options}: {told}"
    assert not list(tmp_path.glob("out/*.json"))


def test_a_bundle_that_finds_nothing_in_single_images_says_so(repository: Path, films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "describing"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps({"tokenizer": "", "weights": ""}))
    source = repository / "bundles" / "ecamp_pretrain" / "configs" / "metadata.json"
    (folder / "configs" / "metadata.json").write_bytes(source.read_bytes())
    torch.save({}, folder / "models" / "model.pt")
    (folder / "models" / "tokenizer.json").write_text("{}")
    done = run("predict", films, "--phrase", "x", "--bundle", folder, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "finds nothing in single images" in done.stderr


def test_pack_sends_to_the_bundle_that_the_run_has_made(trained: Trained, tmp_path: Path) -> None:
    bundle = trained("multilabel")
    files = ("--weights", bundle / "models" / "model.pt", "--tokenizer", "t.json", "--out", tmp_path / "mine")
    done = run("pack", "ecamp_classification", *files)
    assert done.exit_code == 2 and "its training run makes OUTPUT_DIR/bundle" in done.stderr
