# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from radbundles.transforms.nifti_picture import inflate, is_nifti, mask_like_nifti, open_nifti, read_nifti
from radbundles.transforms.read_error import RadiographReadError

PICTURE = np.random.RandomState(0).rand(5, 7).astype(np.float32)  # rows x columns, as displayed
PICTURE[0, 0], PICTURE[4, 6] = 0.0, 1.0


def encode(values: np.ndarray, affine: np.ndarray | None, kind: type = nib.Nifti1Image) -> bytes:
    return bytes(kind(values, affine).to_bytes())


def read(values: np.ndarray, affine: np.ndarray | None) -> np.ndarray:
    return read_nifti(encode(values, affine), "image.nii")[0]


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nifti_is_recognized_by_content(kind: type) -> None:
    content = encode(PICTURE.T, np.eye(4), kind)
    assert is_nifti(content[:348])
    packed = gzip.compress(content)
    assert not is_nifti(packed[:348])
    assert inflate(packed, "image.nii.gz") == content
    np.testing.assert_allclose(read_nifti(content, "image.nii")[0], PICTURE, atol=1e-6)


@pytest.mark.parametrize(
    "affine",
    [
        None,  # neither qform nor sform
        np.eye(4),  # nibabel and MONAI for pictures
        np.diag([0.2, 0.3, 1.0, 1.0]),
        np.diag([-0.2, -0.3, 1.0, 1.0]),  # SimpleITK: towards left and posterior, as displayed
    ],
)
def test_columns_are_i_and_rows_are_j(affine: np.ndarray | None) -> None:
    np.testing.assert_allclose(read(PICTURE.T, affine), PICTURE, atol=1e-6)
    np.testing.assert_allclose(read(PICTURE.T[..., None], affine), PICTURE, atol=1e-6)


def coronal(right: float, superior: float) -> np.ndarray:
    """i across the patient, j down or up, k front to back."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = right, superior, 1.0, 1.0
    return affine


def test_anatomical_slices_are_turned_to_the_radiological_display() -> None:
    np.testing.assert_allclose(read(PICTURE.T, coronal(-1, -1)), PICTURE, atol=1e-6)
    np.testing.assert_allclose(read(PICTURE.T[:, ::-1], coronal(-1, 1)), PICTURE, atol=1e-6)
    np.testing.assert_allclose(read(PICTURE.T[::-1, ::-1], coronal(1, 1)), PICTURE, atol=1e-6)


def test_slice_of_a_volume_in_canonical_order_is_upright() -> None:
    slice_ = PICTURE.T[::-1, ::-1][:, None, :]  # [W, 1, H]: to right and to superior
    np.testing.assert_allclose(read(slice_, np.diag([1.0, 2.0, 3.0, 1.0])), PICTURE, atol=1e-6)


def test_lateral_slice_has_posterior_on_the_right() -> None:
    affine = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # i to anterior, j to superior
    np.testing.assert_allclose(read(PICTURE.T[::-1, ::-1], affine), PICTURE, atol=1e-6)


def test_spacing_is_row_then_column() -> None:
    assert read_nifti(encode(PICTURE.T, np.diag([0.2, 0.3, 1.0, 1.0])), "image.nii")[1]["spacing"] == pytest.approx(
        (0.3, 0.2)
    )
    assert read_nifti(encode(PICTURE.T, coronal(-0.2, 0.3)), "image.nii")[1]["spacing"] == pytest.approx((0.3, 0.2))


def test_values_are_rescaled_by_slope_and_stretched() -> None:
    image = nib.Nifti1Image(np.array([[0, 10], [20, 40]], dtype=np.int16), np.eye(4))
    image.header.set_slope_inter(-2.0, 5.0)
    np.testing.assert_allclose(
        read_nifti(bytes(image.to_bytes()), "image.nii")[0], np.array([[1, 0.5], [0.75, 0]]), atol=1e-6
    )


def test_values_that_are_not_finite_are_left_out() -> None:
    values = np.array([[np.nan, 2.0], [np.inf, 4.0]], dtype=np.float32)
    np.testing.assert_array_equal(read(values.T, None), [[0, 0], [0, 1]])
    with pytest.raises(RadiographReadError, match="without a finite value"):
        read(np.full((2, 2), np.nan, dtype=np.float32), None)


def test_image_of_one_value_is_black() -> None:
    np.testing.assert_array_equal(read(np.full((2, 3), 7.0, dtype=np.float32), None), np.zeros((3, 2)))


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 1, 2), (4, 1, 1, 6)])
def test_volumes_and_series_are_refused_with_their_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(RadiographReadError, match=r"image\.nii: NIfTI of shape \[4, "):
        read(np.zeros(shape, dtype=np.float32), None)


def test_colors_are_refused() -> None:
    colors = np.zeros((4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(RadiographReadError, match="colors"):
        read(colors, None)


def test_truncated_files_are_refused() -> None:
    content = encode(PICTURE.T, None)
    with pytest.raises(RadiographReadError, match=r"cut\.nii: truncated or damaged NIfTI"):
        read_nifti(content[:-20], "cut.nii")
    with pytest.raises(RadiographReadError, match=r"cut\.nii\.gz: truncated or damaged gzip"):
        inflate(gzip.compress(content)[:-20], "cut.nii.gz")


OBLIQUE = nib.affines.from_matvec(
    np.array([[0.0, 0.1, 0.5], [0.02, 0.0, 0.6], [-0.3, 0.01, 0.0]]), [3.0, -4.0, 5.0]
)  # i runs down, k across


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((7, 5), None),
        ((7, 5), np.eye(4)),
        ((7, 5, 1), np.diag([-0.2, -0.3, 1.0, 1.0])),
        ((7, 5, 1), coronal(1, 1)),
        ((7, 5, 1, 1), coronal(-1, 1)),
        ((5, 1, 7), OBLIQUE),
        ((1, 5, 7), None),
    ],
)
def test_a_mask_goes_back_to_the_voxels_it_was_drawn_on(
    kind: Any, shape: tuple[int, ...], affine: np.ndarray | None
) -> None:
    stored = np.random.RandomState(1).rand(*shape).astype(np.float32)
    source = kind(stored, affine)
    source.header["descrip"] = b"a note"
    content = source.to_bytes()
    shown, _ = open_nifti(content, "image.nii")
    mask = mask_like_nifti((shown > 0.5).astype(np.uint8), content)
    assert mask.__class__ == kind and mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(mask.dataobj), stored > 0.5)
    written, read_back = kind.from_bytes(mask.to_bytes()), kind.from_bytes(content)
    np.testing.assert_array_equal(written.affine, read_back.affine)
    for code in ("qform_code", "sform_code"):
        assert written.header[code] == read_back.header[code]
    assert not bytes(written.header["descrip"]).strip(b"\0")
    np.testing.assert_array_equal(open_nifti(mask.to_bytes(), "mask.nii")[0], shown > 0.5)


def test_a_mask_of_another_size_is_no_mask_of_the_image() -> None:
    with pytest.raises(ValueError, match=r"\(7, 5\) rows and columns does not fit a NIfTI image of shape \(7, 5\)"):
        mask_like_nifti(np.zeros((7, 5), np.uint8), encode(PICTURE.T, None))
