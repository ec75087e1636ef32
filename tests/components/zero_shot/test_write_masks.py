# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks lie where they should, in files of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from radbundles.components.inference.output_files import file_stems
from radbundles.components.inference.write_masks import write_masks
from radbundles.components.phantom import write_phantoms
from radbundles.components.zero_shot import DenseZeroShot
from radbundles.transforms import LoadMaskd, LoadRadiograph

PIXELS = np.full((120, 200), 25, dtype=np.uint8)
PIXELS[70:110, 20:90] = 230  # low and to the left
CORONAL = np.array([[0.3, 0, 0, 5], [0, 0, 1, 0], [0, 0.2, 0, 7], [0, 0, 0, 1]])  # to the right, and upwards


def save_nifti(path: Path, affine: np.ndarray, values: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), path)
    return path


def written(known: DenseZeroShot, image: Path, folder: Path) -> tuple[np.ndarray, Any]:
    """The mask of what is bright in an image, as PNG and as NIfTI."""
    found = known.segment(image, ["Bright"])["Bright"]
    [files] = write_masks(
        folder / "film.masks", ["Bright"], [found.mask], meta=LoadRadiograph()(image).meta, nifti=True
    )
    assert files == {"mask": "film.masks/Bright.png", "nifti": "film.masks/Bright.nii.gz"}
    with Image.open(folder / files["mask"]) as picture:
        assert picture.mode == "L"
        return np.asarray(picture), nibabel.load(folder / files["nifti"])


def overlap(mask: np.ndarray, inside: np.ndarray) -> float:
    return float(2 * (mask & inside).sum() / (mask.sum() + inside.sum()))


def test_the_mask_of_a_picture_covers_what_is_bright_in_it(known_dense: DenseZeroShot, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "film.png")
    mask, nifti = written(known_dense, tmp_path / "film.png", tmp_path)
    assert mask.shape == PIXELS.shape and set(np.unique(mask)) == {0, 255}
    assert overlap(mask > 0, PIXELS > 100) > 0.75  # up to half a cell
    assert nifti.shape == (200, 120, 1) and nifti.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(nifti.dataobj)[..., 0].T * 255, mask)
    np.testing.assert_array_equal(nifti.affine, np.diag([-1.0, -1.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("stored", "affine"),
    [
        (PIXELS.T, np.eye(4)),
        (PIXELS.T[..., None], np.diag([-0.3, -0.2, 1.0, 1.0])),
        (PIXELS.T[::-1, ::-1, None], CORONAL),
        (PIXELS.T[:, None, ::-1], np.diag([-0.3, 1.0, 0.2, 1.0])),
    ],
)
def test_the_mask_of_a_nifti_image_overlays_it_voxel_by_voxel(
    known_dense: DenseZeroShot, tmp_path: Path, stored: np.ndarray, affine: np.ndarray
) -> None:
    film = save_nifti(tmp_path / "film.nii.gz", affine, stored)
    mask, nifti = written(known_dense, film, tmp_path)
    assert overlap(mask > 0, PIXELS > 100) > 0.75  # as displayed
    assert nifti.shape == stored.shape and overlap(np.asarray(nifti.dataobj) > 0, stored > 100) > 0.75
    source: Any = nibabel.load(film)
    np.testing.assert_allclose(nifti.affine, source.affine)


def test_the_mask_of_a_dicom_film_has_its_spacing(known_dense: DenseZeroShot, tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path / "made", count=2, seed=1, size=128).parent / "images"
    film = next(folder.glob("*.dcm"))
    image = LoadRadiograph()(film)
    mask, nifti = written(known_dense, film, tmp_path)
    rows, columns = image.meta["spacing"]
    np.testing.assert_allclose(np.diag(nifti.affine), [-columns, -rows, 1, 1], rtol=1e-6)
    assert nifti.header.get_xyzt_units()[0] == "mm" and rows != 1
    # Our own reader finds the film's mask again.
    loaded = LoadMaskd("masks", classes=["x"])(
        {"masks": {"x": str(tmp_path / "film.masks" / "Bright.nii.gz")}, "image": torch.as_tensor(image)}
    )
    np.testing.assert_array_equal(loaded["masks"][0] * 255, mask)


def test_masks_may_overlap_and_names_become_files(known_dense: DenseZeroShot, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "film.png")
    image = known_dense.embed_image(tmp_path / "film.png")
    phrases = ["bright", "a bright, there"]
    found = [*known_dense.ground(image, phrases), known_dense.segment(image, ["Bright"])["Bright"]]
    files = write_masks(tmp_path / "out", [*phrases, "Bright"], (one.mask for one in found), meta={})
    names = [Path(entry["mask"]).name for entry in files]
    assert names[:2] == ["bright.png", "a_bright_there.png"] and names[2].startswith("Bright-")
    masks = [np.asarray(Image.open(tmp_path / "out" / name)) for name in names]
    assert masks[0].any() and np.array_equal(masks[0], masks[2])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_file_stems_are_safe_short_and_apart() -> None:
    names = ["Pleural Effusion", "../../x", "CON", "a/b", "a_b", "A_B", "...", "肺" * 200, "肺" * 201, "x", "x"]
    stems = file_stems(names)
    assert stems[:2] == ["Pleural_Effusion", "x"] and stems[3] == "a_b"
    assert len({stem.casefold() for stem in stems}) == len(names)
    assert all(stem.strip("._") and not set(stem) & set('/\\:*?"<>|.') for stem in stems)
    assert max(len(stem.encode()) for stem in stems) < 240 and "con" not in map(str.lower, stems)
