# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from jsonschema import Draft202012Validator
from PIL import Image
from typer.testing import CliRunner, Result

import radbundles.cli.predict_command as predict_command
from radbundles.cli.app import app
from radbundles.components.phantom import write_phantoms
from radbundles.components.zero_shot import DenseZeroShot, findings_schema, load_zero_shot
from radbundles.transforms import LoadMaskd


def predict(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], env={"COLUMNS": "400"})


assert predict_command  # its import is what registers the command


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten files of every kind, three of them of no use: truncated, lateral, constant."""
    folder = tmp_path_factory.mktemp("films")
    made = write_phantoms(folder / "made", count=8, seed=5, size=128).parent / "images"
    dicom, png = sorted(made.glob("*.dcm")), sorted(made.glob("*.png"))
    for place, path in enumerate(dicom[:3]):
        shutil.copy(path, folder / f"film{place}.dcm")
    shutil.copy(dicom[3], folder / "no-suffix")
    pixels = np.asarray(Image.open(png[0]))
    shutil.copy(png[0], folder / "film.png")
    Image.fromarray(pixels[:, 20:100]).save(folder / "sub #1 @50%.jpg")  # marks that configs give a meaning to
    nibabel.save(nibabel.Nifti1Image(pixels.T.astype(np.float32), np.eye(4)), folder / "film.nii.gz")
    (folder / "truncated.png").write_bytes(png[1].read_bytes()[:2000])
    lateral = pydicom.dcmread(dicom[0])
    lateral.ViewPosition = "LL"
    lateral.save_as(folder / "lateral.dcm")
    Image.fromarray(np.full((128, 128), 90, dtype=np.uint8)).save(folder / "constant.png")
    shutil.rmtree(folder / "made")
    assert len(list(folder.iterdir())) == 10
    return folder


def test_a_folder_is_answered_but_for_what_is_of_no_use(answering: Path, films: Path, tmp_path: Path) -> None:
    asked = ["--phrase", "left effusion", "--phrase", "$1 @channels %x #y", "--class", "Pleural Effusion"]
    done = predict(films, *asked, "--bundle", answering, "--config", "small", "--out", tmp_path, "--batch-size", "4")
    assert done.exit_code == 1, done.stdout + done.stderr
    faults = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {fault["id"]: True for fault in faults} == {"truncated.png": True, "lateral.dcm": True, "constant.png": True}
    reasons = {fault["id"]: fault["reason"] for fault in faults}
    assert "lateral" in reasons["lateral.dcm"] and "blank" in reasons["constant.png"]
    assert "7 images answered" in done.stdout and "3 images refused" in done.stdout
    found = {}
    for path in tmp_path.glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator(findings_schema()).validate(record)
        found[record["image"]] = record
        with Image.open(path.with_suffix(".png")) as picture:
            assert picture.mode == "RGB" and min(picture.size) > 100
    expected = {"film0.dcm", "film1.dcm", "film2.dcm", "no-suffix", "film.png", "film.nii.gz", "sub #1 @50%.jpg"}
    assert set(found) == expected
    assert found["sub #1 @50%.jpg"]["size"] == [80, 128]
    for record in found.values():
        assert [phrase["text"] for phrase in record["phrases"]] == ["left effusion", "$1 @channels %x #y"]
        assert [one["name"] for one in record["classes"]] == ["Pleural Effusion"]
        assert record["model"]["name"] == "dcxfm_pretrain"
        assert "Phantom^" not in json.dumps(record) and "phantom-5" not in json.dumps(record)
    # The same picture as PNG and as NIfTI gives the same answer.
    assert found["film.png"]["phrases"][0]["point"] == found["film.nii.gz"]["phrases"][0]["point"]
    assert not list(tmp_path.glob(".*partial"))


def test_answers_are_those_of_the_python_door(answering: Path, films: Path, tmp_path: Path) -> None:
    image = films / "film.png"
    done = predict(image, "--phrase", "left effusion", "--bundle", answering, "--config", "small", "--out", tmp_path)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "film.png (128 x 128)" in done.stdout and "1 image answered" in done.stdout
    assert not (tmp_path / "faults.jsonl").exists()
    [phrase] = json.loads((tmp_path / "film.png.json").read_text(encoding="utf-8"))["phrases"]
    zero_shot = load_zero_shot(answering, configs=["small"], device="cpu")
    [found] = zero_shot.ground(image, ["left effusion"])
    assert phrase["similarity"] == pytest.approx(found.similarity, abs=1e-4)
    assert phrase["point"] == pytest.approx(found.point, abs=0.1)
    assert len(phrase["boxes"]) == len(found.boxes) > 0
    np.testing.assert_allclose([box["box"] for box in phrase["boxes"]], found.boxes, atol=0.1)


def test_every_word_of_refusal_says_what_to_do(answering: Path, masking: Path, films: Path, tmp_path: Path) -> None:
    image, out = films / "film.png", tmp_path / "out"
    bundle, dense = (["--bundle", str(one), "--config", "small", "--out", str(out)] for one in (answering, masking))
    cases = (
        (["--out", str(out)], "give --phrase or --class"),
        (["--phrase", "effusion", "--out", str(out)], "comes without weights"),
        (["--phrase", "effusion", "--bundle", "nothing", "--out", str(out)], "no bundle 'nothing'"),
        (["--class", "Cardiomegally", *bundle], "did you mean Cardiomegaly"),
        (["--phrase", "effusion", *bundle[:2], *bundle[4:]], "Weights fit the configuration they were trained with"),
        (["--phrase", "effusion", *bundle, "--config", "large"], "no config 'large'"),
        (["--phrase", "effusion", *bundle, "--weights", "none.pt"], "no weights at none.pt"),
        (["--phrase", "effusion", *bundle, "--nifti"], "this bundle writes none: ask one of stage 2"),
        (["--phrase", "effusion", *bundle, "--threshold", "0.4"], "gives similarities: use --min-similarity"),
        (["--phrase", "effusion", *dense, "--min-similarity", "0.4"], "gives scores: use --threshold"),
        (["--phrase", "effusion", *dense, "--threshold", "1"], "threshold must lie between 0 and 1"),
    )
    for arguments, message in cases:
        done = predict(image, *arguments)
        told = " ".join(done.stderr.replace("│", " ").split())
        assert done.exit_code == 2 and message in told, f"{arguments}: {told}"
        assert "Traceback" not in done.stderr
    assert not list(out.glob("*.json"))


def test_a_run_without_a_single_good_image_ends_with_its_reasons(answering: Path, films: Path, tmp_path: Path) -> None:
    asked: list[str | Path] = ["--phrase", "effusion", "--bundle", answering, "--config", "small", "--out", tmp_path]
    done = predict(films / "constant.png", films / "absent.png", *asked)
    assert done.exit_code == 1 and "0 images answered" in done.stdout
    assert "blank" in done.stderr and "absent.png: no such file" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["faults.jsonl"]


def load_lung(folder: Path) -> Any:
    return nibabel.load(folder / "left_lung.nii.gz")


def test_a_bundle_of_stage_2_writes_masks_of_the_images_size(masking: Path, films: Path, tmp_path: Path) -> None:
    zero_shot = load_zero_shot(masking, configs=["small"], device="cpu")
    assert isinstance(zero_shot, DenseZeroShot)
    middle = zero_shot.segment(films / "film.png", ["left lung"])["left lung"]
    threshold = f"{np.median(middle.map):.4f}"  # random weights: so that masks have an inside and an outside
    names = ["film.png", "film.nii.gz", "film0.dcm", "sub #1 @50%.jpg"]
    asked = ["--phrase", "left effusion", "--class", "left lung", "--class", "Pleural Effusion", "--nifti"]
    where: list[str | Path] = ["--bundle", masking, "--config", "small", "--out", tmp_path, "--threshold", threshold]
    done = predict(*(films / name for name in names), *asked, *where)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "highest score" in done.stdout
    sizes = {"film.png": (128, 128), "film.nii.gz": (128, 128), "film0.dcm": (128, 128), "sub #1 @50%.jpg": (80, 128)}
    for path in tmp_path.glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator(findings_schema()).validate(record)
        width, height = sizes.pop(record["image"])
        assert record["size"] == [width, height] and "score" in record["note"]
        for one in (*record["phrases"], *record["classes"]):
            assert one["measure"] == "score" and 0 <= one["peak"] <= 1
            with Image.open(tmp_path / one["mask"]) as picture:
                mask = np.asarray(picture)
                assert picture.mode == "L" and picture.size == (width, height) and set(np.unique(mask)) <= {0, 255}
            loaded = LoadMaskd("masks", classes=["x"])(
                {"masks": {"x": str(tmp_path / one["nifti"])}, "image": torch.zeros(1, height, width)}
            )
            np.testing.assert_array_equal(loaded["masks"][0], mask // 255)
        lung = next(one for one in record["classes"] if one["name"] == "left lung")
        assert lung["mask"].endswith(".masks/left_lung.png")
        if record["image"] == "film.png":
            strict = load_zero_shot(masking, configs=["small"], device="cpu", threshold=float(threshold))
            found = strict.segment(films / "film.png", ["left lung", "Pleural Effusion"])["left lung"]
            with Image.open(tmp_path / lung["mask"]) as picture:
                np.testing.assert_array_equal(np.asarray(picture) // 255, found.mask)
            assert 0.2 < found.mask.mean() < 0.8
            assert len(lung["polygons"]) == len(found.polygons) > 0
            np.testing.assert_allclose(lung["polygons"][0]["exterior"], found.polygons[0].exterior, atol=0.06)
    assert not sizes and not list(tmp_path.rglob(".*partial"))
    film: Any = nibabel.load(films / "film.nii.gz")
    png, nifti, dicom = (load_lung(tmp_path / f"{name}.masks") for name in names[:3])
    assert nifti.shape == film.shape and np.array_equal(nifti.affine, film.affine)
    rows, columns = map(float, pydicom.dcmread(films / "film0.dcm").ImagerPixelSpacing)
    np.testing.assert_allclose(np.diag(dicom.affine), np.array([-columns, -rows, 1, 1]), rtol=1e-6)
    # The same picture as PNG and as NIfTI, which is stretched to its extremes, has nearly the same mask.
    assert (np.squeeze(png.dataobj) != np.squeeze(nifti.dataobj)).mean() < 0.01


def test_without_nifti_there_is_none(masking: Path, films: Path, tmp_path: Path) -> None:
    where: list[str | Path] = ["--bundle", masking, "--config", "small", "--out", tmp_path]
    done = predict(films / "film.png", "--class", "left lung", *where)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "film.png.json",
        "film.png.masks",
        "film.png.masks/left_lung.png",
        "film.png.png",
    ]
