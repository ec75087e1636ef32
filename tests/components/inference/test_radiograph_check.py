# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.dataset import Dataset

from radbundles.components.inference.radiograph_check import (
    RadiographRefused,
    check_radiograph,
    require_radiograph,
)
from radbundles.components.phantom import write_phantoms
from radbundles.transforms import LoadRadiograph

FILM = torch.linspace(0, 1, 100)[None, :, None] * torch.linspace(0.2, 1, 90)


def kinds(image: torch.Tensor, meta: dict[str, Any] | None = None) -> dict[str, bool]:
    return {concern.kind: concern.refused for concern in check_radiograph(image, meta)}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("phantom")
    write_phantoms(folder, count=1, seed=3, size=128, formats=["dicom"])
    return pydicom.dcmread(next(folder.rglob("*.dcm")))


def code(meaning: str) -> list[Dataset]:
    dataset = Dataset()
    dataset.CodeMeaning = meaning
    return [dataset]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, {}),
        ({"ViewPosition": "PA"}, {}),
        ({"ViewPosition": "LATERAL"}, {"lateral": True}),
        ({"ViewPosition": "LL"}, {"lateral": True}),
        ({"ViewPosition": "RL"}, {"lateral": True}),
        ({"ViewPosition": "", "ViewCodeSequence": code("Left lateral")}, {"lateral": True}),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, {"lateral": True}),
        ({"ViewPosition": "", "SeriesDescription": "W Chest Lat"}, {"lateral": True}),
        ({"ViewPosition": ""}, {}),
        ({"ViewPosition": "LLD"}, {"view": False}),
        ({"ViewPosition": "LAO"}, {"view": False}),
        ({"BodyPartExamined": "HAND"}, {"body_part": False}),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": code("Knee")}, {"body_part": False}),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": code("Thorax")}, {}),
        ({"BodyPartExamined": "HAND", "ViewPosition": "LL"}, {"lateral": True, "body_part": False}),
    ],
)
def test_tags_of_a_dicom_file_decide(
    phantom: Dataset, tmp_path: Path, tags: dict[str, Any], expected: dict[str, bool]
) -> None:
    patched = copy.deepcopy(phantom)
    for keyword, value in tags.items():
        setattr(patched, keyword, value)
    patched.save_as(tmp_path / "image.dcm")
    assert kinds(LoadRadiograph()(tmp_path / "image.dcm")) == expected


def blank_with_marks() -> torch.Tensor:
    image = torch.full((1, 400, 300), 0.4)
    image[:, 10:30, 10:30] = 1
    return (image + 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


@pytest.mark.parametrize("image", [torch.zeros(1, 200, 200), torch.ones(1, 80, 90), blank_with_marks()])
def test_blank_image_is_refused(image: torch.Tensor) -> None:
    assert kinds(image) == {"blank": True}


def test_faint_image_is_not_blank() -> None:
    assert kinds(0.4 + 0.1 * FILM) == {}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (FILM[:, :63], {"small": True}),
        (FILM[:, :64], {}),
        (FILM.repeat_interleave(2, 1), {"elongated": False}),  # 200 x 90
        (FILM.repeat_interleave(2, 2), {}),  # 100 x 180
    ],
)
def test_shape_is_looked_at(image: torch.Tensor, expected: dict[str, bool]) -> None:
    assert kinds(image) == expected


def test_colored_picture_is_warned_of_and_gray_stored_in_color_is_not(tmp_path: Path) -> None:
    gray = np.repeat((FILM[0].numpy() * 255).astype(np.uint8)[..., None], 3, axis=-1)
    colored = gray * np.array([1, 0.6, 0.3])
    for name, pixels in (("gray.png", gray), ("colored.png", colored.astype(np.uint8))):
        Image.fromarray(pixels).save(tmp_path / name)
    assert kinds(LoadRadiograph()(tmp_path / "gray.png")) == {}
    assert kinds(LoadRadiograph()(tmp_path / "colored.png")) == {"color": False}
    assert kinds(LoadRadiograph(color="rgb")(tmp_path / "colored.png")) == {"color": False}


def test_refusal_names_file_and_reasons_and_crosses_processes() -> None:
    with pytest.raises(RadiographRefused, match=r"^a\.dcm: .*blank.*; a left lateral view") as caught:
        require_radiograph(torch.zeros(1, 90, 90), {"filename_or_obj": "a.dcm", "view": "LL", "body_part": "KNEE"})
    assert [concern.kind for concern in caught.value.concerns] == ["blank", "lateral", "body_part"]
    assert isinstance(caught.value, ValueError)
    received = pickle.loads(pickle.dumps(caught.value))
    assert (str(received), received.concerns) == (str(caught.value), caught.value.concerns)
    assert [concern.kind for concern in require_radiograph(FILM, {"view": "OBLIQUE"})] == ["view"]
    assert require_radiograph(FILM) == []


def test_real_frontal_films_pass_and_the_lateral_one_does_not(shared_data: Path) -> None:
    load = LoadRadiograph()
    rows = [json.loads(line) for line in (shared_data / "manifest.jsonl").read_text("utf-8").splitlines()]
    films = [row["image"] for row in rows if row["modality"] == "CXR"][::40]
    assert len(films) > 20
    for film in [*films, "dicom/RG1_J2KR.dcm", "dicom/mont_1_mono1_12bit_window.dcm"]:
        assert [concern for concern in check_radiograph(load(shared_data / film)) if concern.refused] == [], film
    with pytest.raises(RadiographRefused, match="lateral view by its DICOM attributes"):
        require_radiograph(load(shared_data / "dicom" / "highdicom_dx_tiny.dcm"))
