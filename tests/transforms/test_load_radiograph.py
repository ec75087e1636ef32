# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import Compose, NormalizeIntensityd, RepeatChanneld, Spacing
from PIL import Image

from radbundles.transforms import (
    LoadRadiograph,
    LoadRadiographD,
    LoadRadiographd,
    LoadRadiographDict,
    RadiographReadError,
)

Write = Callable[..., Path]
GRAY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 10


@pytest.fixture
def png(tmp_path: Path) -> Path:
    Image.fromarray(GRAY).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_every_file_type_gives_the_same_upright_image(tmp_path: Path, png: Path, dicom_file: Write) -> None:
    dicom = dicom_file(GRAY)
    nib.save(nib.Nifti1Image(GRAY.T, np.eye(4)), tmp_path / "image.nii.gz")
    packed = tmp_path / "image.dcm.gz"
    packed.write_bytes(gzip.compress(dicom.read_bytes()))
    for path, top in ((png, 255), (dicom, 255), (packed, 255), (tmp_path / "image.nii.gz", 190)):
        image = LoadRadiograph()(path)
        assert isinstance(image, MetaTensor)
        assert image.dtype == torch.float32
        assert image.is_contiguous()
        np.testing.assert_allclose(image.numpy(), GRAY[None] / top, atol=1e-6)
        assert image.meta["filename_or_obj"] == str(path)
        assert image.meta["original_size"] == (4, 5)
        assert image.meta["photometric"] == "MONOCHROME2"


@pytest.mark.parametrize("suffix", ["", ".dcm", ".png", ".jpg", ".nii.gz"])
def test_type_is_told_by_content_and_not_by_suffix(tmp_path: Path, png: Path, dicom_file: Write, suffix: str) -> None:
    for number, source in enumerate((png, dicom_file(GRAY))):
        path = tmp_path / f"file{number}{suffix}"
        path.write_bytes(source.read_bytes())
        np.testing.assert_allclose(LoadRadiograph()(path).numpy(), GRAY[None] / 255, atol=1e-6)


def test_rgb_gives_three_channels_of_any_file(tmp_path: Path, png: Path, dicom_file: Write) -> None:
    nib.save(nib.Nifti1Image(GRAY.T, np.eye(4)), tmp_path / "image.nii")
    for path in (png, dicom_file(GRAY), tmp_path / "image.nii"):
        image = LoadRadiograph(color="rgb")(path)
        assert image.shape == (3, 4, 5)
        assert torch.equal(image[0], image[2])


def test_spacing_goes_to_meta_and_affine(dicom_file: Write) -> None:
    image = LoadRadiograph()(dicom_file(GRAY, PixelSpacing=[0.5, 0.25]))
    assert image.meta["spacing"] == (0.5, 0.25)
    assert torch.diag(image.affine).tolist() == [0.5, 0.25, 1.0, 1.0]
    assert Spacing(pixdim=(0.5, 0.5))(image).shape == (1, 4, 3)


def test_unknown_spacing_is_absent_and_mixed_files_collate(png: Path, dicom_file: Write) -> None:
    load = LoadRadiographd("image")
    batch = [load({"image": path}) for path in (png, dicom_file(GRAY, PixelSpacing=[0.5, 0.25]))]
    assert batch[0]["image"].meta.get("spacing") is None
    assert torch.equal(batch[0]["image"].affine, torch.eye(4, dtype=torch.float64))
    assert list_data_collate(batch)["image"].shape == (2, 1, 4, 5)


def test_dictionary_twin_loads_its_keys_and_leaves_the_rest(png: Path) -> None:
    item = {"image": png, "id": "a"}
    loaded = LoadRadiographd(["image"])(item)
    assert torch.equal(loaded["image"], LoadRadiograph()(png))
    assert loaded["id"] == "a"
    assert item["image"] == png
    assert LoadRadiographD is LoadRadiographDict is LoadRadiographd


def test_missing_key_is_an_error_unless_allowed(png: Path) -> None:
    with pytest.raises(KeyError):
        LoadRadiographd("image")({"id": "a"})
    assert LoadRadiographd("image", allow_missing_keys=True)({"id": "a"}) == {"id": "a"}


def test_monai_makes_three_normalized_channels(png: Path) -> None:
    pipeline = Compose(
        [
            LoadRadiographd("image"),
            RepeatChanneld("image", repeats=3),
            NormalizeIntensityd("image", subtrahend=np.array(0.4721), divisor=np.array(0.3037)),
        ]
    )
    image = pipeline({"image": png})["image"]
    assert isinstance(image, MetaTensor)
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image.numpy(), np.stack([(GRAY / 255 - 0.4721) / 0.3037] * 3), atol=1e-5)


BAD = {
    "note.png": (b"a note, and no picture", "a text file"),
    "empty.dcm": (b"", "empty"),
    "doc.dcm": (b"%PDF-1.4", "a PDF document"),
    "image.tif": (b"II*\x00" + bytes(400), "a TIFF picture"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "a web page"),
    "pointer.dcm": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "archive.dcm": (b"PK\x03\x04" + bytes(400), "a zip archive"),
    "noise": (bytes(range(200, 256)) * 10, "not a known image file"),
    "pair.hdr": (bytes(344) + b"ni1\x00", "NIfTI pair"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_files_are_refused_by_what_they_are(tmp_path: Path, name: str) -> None:
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RadiographReadError, match=reason) as caught:
        LoadRadiographd("image")({"image": tmp_path / name})
    assert str(caught.value).startswith(f"key 'image': {tmp_path / name}: ")


def test_missing_file_folder_and_wrong_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RadiographReadError, match=r"nowhere\.png: no such file"):
        LoadRadiograph()(tmp_path / "nowhere.png")
    with pytest.raises(RadiographReadError, match="a folder"):
        LoadRadiograph()(tmp_path)
    with pytest.raises(RadiographReadError, match="key 'image': expected the path of an image file, got NoneType"):
        LoadRadiographd("image")({"image": None})


def test_error_survives_pickling_as_a_data_loader_demands() -> None:
    error = pickle.loads(pickle.dumps(RadiographReadError("image.png: broken")))
    assert isinstance(error, ValueError)
    assert str(error) == "image.png: broken"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"color": "grey"}, "'grey'"), ({"window_index": -1}, "-1"), ({"frame": -2}, "-2")],
)
def test_wrong_arguments_are_refused_up_front(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        LoadRadiograph(**arguments)
    with pytest.raises(ValueError, match=match):
        LoadRadiographd("image", **arguments)


def test_window_and_frame_are_passed_on(dicom_file: Write) -> None:
    windows = {"WindowCenter": [50, 100], "WindowWidth": [100, 200], "VOILUTFunction": "LINEAR_EXACT"}
    path = dicom_file(np.array([[50]], dtype=np.uint8), NumberOfFrames=2, PixelData=bytes([50, 100]), **windows)
    assert LoadRadiograph(window_index=1, frame=1)(path).item() == 0.5
    assert LoadRadiographd("image", window_index=1, frame=0)({"image": path})["image"].item() == 0.25


def test_real_pictures_are_read_as_pillow_reads_them(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "manifest.jsonl").read_text().splitlines()]
    seen = set()
    for row in rows:
        if row["source"] in seen:
            continue
        seen.add(row["source"])
        image = LoadRadiograph()(shared_data / row["image"])
        with Image.open(shared_data / row["image"]) as picture:
            sixteen = picture.mode.startswith("I")
            expected = np.asarray(picture) / 65535 if sixteen else np.asarray(picture.convert("L")) / 255
        assert image.shape[1:] == tuple(reversed(row["size"])), row["id"]
        np.testing.assert_allclose(image[0].numpy(), expected, atol=1e-6, err_msg=row["id"])
    assert len(seen) > 5
