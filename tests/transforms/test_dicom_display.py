# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from radbundles.transforms.dicom_display import display_values

Make = Callable[..., Dataset]


def show(make: Make, values: Any, dtype: str = "<i2", window_index: int = 0, **attributes: Any) -> list[float]:
    stored = np.array([values], dtype=dtype)
    shown = display_values(make(stored, **attributes), stored, window_index=window_index)
    assert shown.dtype == np.float32
    assert shown.shape == stored.shape
    return shown[0].tolist()


def lut(entries: list[int] | bytes, first: int, bits: int, vr: str = "US", count: int | None = None) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) if count is None else count, first, bits])
    item.add_new("LUTData", vr, entries)
    return item


@pytest.mark.parametrize(
    ("function", "center", "width", "values", "expected"),
    [
        # The notes of PS3.3 C.11.2.1.2.1, worked by hand, border values included.
        ("LINEAR", 2048, 4096, [-5, 0, 1, 4094, 4095, 5000], [0, 0, 1 / 4095, 4094 / 4095, 1, 1]),
        ("LINEAR", 2048, 1, [2047, 2048], [0, 1]),
        ("LINEAR", 0, 100, [-50, -49, 0, 49, 50], [0, 1 / 99, 50 / 99, 1, 1]),
        ("LINEAR", 0, 1, [-1, 0], [0, 1]),
        # C.11.2.1.3.2
        ("LINEAR_EXACT", 2048, 4096, [0, 1024, 4095, 4096], [0, 0.25, 4095 / 4096, 1]),
        ("LINEAR_EXACT", 0, 100, [-50, -25, 0, 50], [0, 0.25, 0.5, 1]),
        ("LINEAR_EXACT", 0, 0.5, [-1, 0, 1], [0, 0.5, 1]),
        # C.11.2.1.3.1
        ("SIGMOID", 100, 40, [100, 110, 90], [0.5, 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))]),
        ("SIGMOID", 0, 1, [-30000, 30000], [0, 1]),
    ],
)
def test_window_functions_follow_the_standard(
    dicom_dataset: Make, function: str, center: float, width: float, values: list[int], expected: list[float]
) -> None:
    attributes: dict[str, Any] = {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
    assert show(dicom_dataset, values, **attributes) == pytest.approx(expected, abs=1e-6)


def test_window_without_a_function_is_linear(dicom_dataset: Make) -> None:
    assert show(dicom_dataset, [0, 50, 99], WindowCenter=50, WindowWidth=100) == pytest.approx([0, 50 / 99, 1])


@settings(deadline=None, max_examples=80)
@given(
    bits=st.sampled_from([8, 10, 12, 14, 15, 16]),
    signed=st.booleans(),
    mono1=st.booleans(),
    slope=st.sampled_from([None, 0.5, 1.0, 2.0]),
    intercept=st.integers(-2000, 2000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    center=st.integers(-3000, 70000),
    width=st.integers(2, 70000),
    seed=st.integers(0, 9),
)
def test_agrees_with_pydicom_where_pydicom_scales_to_the_stored_range(
    bits: int, signed: bool, mono1: bool, slope: float | None, intercept: int, function: str, center: int, width: int,
    seed: int,
) -> None:  # fmt: skip
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    stored = (
        np.random.RandomState(seed)
        .randint(low, high + 1, (5, 7))
        .astype(("i" if signed else "u") + str(1 if bits == 8 else 2))
    )
    dataset = Dataset()
    dataset.BitsAllocated, dataset.BitsStored, dataset.PixelRepresentation = 8 * stored.itemsize, bits, int(signed)
    dataset.PhotometricInterpretation = "MONOCHROME1" if mono1 else "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    if slope is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    else:
        slope, intercept = 1.0, 0
    bottom, top = low * slope + intercept, high * slope + intercept
    with np.errstate(over="ignore"):  # pydicom's sigmoid overflows to the right result
        expected = (apply_voi_lut(apply_modality_lut(stored, dataset), dataset) - bottom) / (top - bottom)
    if mono1:
        expected = 1 - expected
    np.testing.assert_allclose(display_values(dataset, stored), expected, atol=1e-6)


def test_several_windows_offer_the_first_and_any_other_by_index(dicom_dataset: Make) -> None:
    windows: dict[str, Any] = {
        "WindowCenter": [50, 100, 500],
        "WindowWidth": [100, 200, 1000],
        "VOILUTFunction": "LINEAR_EXACT",
    }
    assert show(dicom_dataset, [100], **windows) == [1.0]
    assert show(dicom_dataset, [100], window_index=1, **windows) == [0.5]
    with pytest.raises(ValueError, match="window_index is 3 but the file has 3 windows"):
        show(dicom_dataset, [100], window_index=3, **windows)


@pytest.mark.parametrize(
    ("photometric", "shape", "expected"),
    [
        ("MONOCHROME2", None, [0, 1]),
        ("MONOCHROME2", "IDENTITY", [0, 1]),
        ("MONOCHROME1", None, [1, 0]),
        ("MONOCHROME1", "INVERSE", [1, 0]),  # what the DX family demands: one inversion, not two
        ("MONOCHROME2", "INVERSE", [1, 0]),
    ],
)
def test_polarity_is_inverted_once(
    dicom_dataset: Make, photometric: str, shape: str | None, expected: list[float]
) -> None:
    attributes: dict[str, Any] = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
    assert show(dicom_dataset, [0, 255], "u1", **attributes) == expected


def test_rescale_comes_before_the_window(dicom_dataset: Make) -> None:
    window: dict[str, Any] = {"WindowCenter": 0, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}
    assert show(dicom_dataset, [0, 50, 100], RescaleSlope=2, RescaleIntercept=-100, **window) == [0, 0.5, 1]
    assert show(dicom_dataset, [0, 50, 100], RescaleIntercept=-100, **window) == [0, 0.25, 0.5]


def test_negative_slope_turns_the_full_range(dicom_dataset: Make) -> None:
    assert show(dicom_dataset, [0, 255], "u1", RescaleSlope=-1, RescaleIntercept=255) == [1, 0]


def test_slope_of_zero_is_refused(dicom_dataset: Make) -> None:
    with pytest.raises(ValueError, match="Rescale Slope is 0"):
        show(dicom_dataset, [0, 1], RescaleSlope=0, RescaleIntercept=5)


def test_full_range_is_that_of_bits_stored(dicom_dataset: Make) -> None:
    assert show(dicom_dataset, [0, 1023, 2048, 4095], "<u2", BitsStored=12) == pytest.approx(
        [0, 1023 / 4095, 2048 / 4095, 1]
    )
    assert show(dicom_dataset, [10, 20], "u1") == pytest.approx([10 / 255, 20 / 255])


def test_whole_words_that_hold_twelve_bits_are_not_shown_black(dicom_dataset: Make) -> None:
    assert show(dicom_dataset, [0, 2048, 4000], "<u2") == pytest.approx([0, 2048 / 4095, 4000 / 4095])


def test_negative_values_without_window_show_the_range_they_use(dicom_dataset: Make) -> None:
    assert show(dicom_dataset, [-100, 0, 300], BitsStored=12) == pytest.approx([0, 0.25, 1])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_widen_the_range(dicom_dataset: Make, photometric: str) -> None:
    values = [0, 4095, 65535]
    first = 1.0 if photometric == "MONOCHROME1" else 0.0
    shown = show(dicom_dataset, values, "<u2", PixelPaddingValue=65535, PhotometricInterpretation=photometric)
    assert shown == [first, 1 - first, 0.0]


def test_padding_range_is_inclusive_in_either_order(dicom_dataset: Make) -> None:
    for value, limit in ((250, 255), (255, 250)):
        padding = {"PixelPaddingValue": value, "PixelPaddingRangeLimit": limit}
        shown = show(dicom_dataset, [0, 249, 250, 255], "u1", PhotometricInterpretation="MONOCHROME1", **padding)
        assert shown == pytest.approx([1, 6 / 255, 0, 0])


def test_signed_padding_written_as_unsigned_is_understood(dicom_dataset: Make) -> None:
    stored = np.array([[-2000, 0, 1000]], dtype="<i2")
    dataset = dicom_dataset(stored)
    dataset.add_new("PixelPaddingValue", "US", 63536)
    assert display_values(dataset, stored)[0].tolist() == pytest.approx([0, 0, 1000 / 1023])


def test_image_of_padding_or_of_one_negative_value_is_black(dicom_dataset: Make) -> None:
    assert show(dicom_dataset, [7, 7], "u1", PixelPaddingValue=7) == [0, 0]
    assert show(dicom_dataset, [-7, -7]) == [0, 0]


def test_voi_lut_is_scaled_by_its_depth_and_goes_before_the_window(dicom_dataset: Make) -> None:
    table = lut([0, 100, 4095], first=10, bits=12)
    shown = show(dicom_dataset, [0, 10, 11, 12, 99], VOILUTSequence=[table], WindowCenter=1, WindowWidth=1)
    assert shown == pytest.approx([0, 0, 100 / 4095, 1, 1])


def test_voi_lut_may_start_below_zero(dicom_dataset: Make) -> None:
    table = lut([0, 255, 510, 1023], first=-2, bits=10)
    expected = [0, 255 / 1023, 510 / 1023, 1]
    assert show(dicom_dataset, [-2, -1, 0, 1], VOILUTSequence=[table]) == pytest.approx(expected)
    unsigned = lut([0, 255, 510, 1023], first=65534, bits=10)  # -2 written as US
    assert show(dicom_dataset, [-2, -1, 0, 1], VOILUTSequence=[unsigned]) == pytest.approx(expected)


def test_voi_lut_applies_to_rescaled_values(dicom_dataset: Make) -> None:
    table = lut([0, 50, 255], first=-1, bits=8)
    shown = show(dicom_dataset, [0, 2, 4], VOILUTSequence=[table], RescaleSlope=0.5, RescaleIntercept=-1)
    assert shown == pytest.approx([0, 50 / 255, 1])


@pytest.mark.parametrize(
    "table",
    [
        lut([0, 51, 255, 0], first=0, bits=8),
        lut(bytes([0, 51, 255, 0]), first=0, bits=8, vr="OW", count=4),  # bytes packed two to a word
        lut(bytes([0, 0, 51, 0, 255, 0, 0, 0]), first=0, bits=8, vr="OW", count=4),
    ],
)
def test_lut_data_is_read_from_words_and_from_packed_bytes(dicom_dataset: Make, table: Dataset) -> None:
    assert show(dicom_dataset, [0, 1, 2], VOILUTSequence=[table]) == pytest.approx([0, 0.2, 1])


def test_lut_of_65536_entries(dicom_dataset: Make) -> None:
    table = lut(list(range(65535, -1, -1)), first=0, bits=16, count=0)
    assert show(dicom_dataset, [0, 65535], "<u2", VOILUTSequence=[table]) == [1, 0]


def test_lut_with_too_few_data_is_refused(dicom_dataset: Make) -> None:
    with pytest.raises(ValueError, match="too few for the 9 entries"):
        show(dicom_dataset, [0], VOILUTSequence=[lut([1, 2, 3], first=0, bits=8, count=9)])


def test_modality_lut_replaces_the_rescale(dicom_dataset: Make) -> None:
    table = lut([4095, 0, 2048], first=0, bits=12)
    window: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    shown = show(dicom_dataset, [0, 1, 2], ModalityLUTSequence=[table], RescaleSlope=100, **window)
    assert shown == pytest.approx([4095 / 4096, 0, 0.5])


@pytest.mark.parametrize("width", [0, -5])
def test_forbidden_window_width_shows_the_full_range_with_a_warning(dicom_dataset: Make, width: float) -> None:
    with pytest.warns(UserWarning, match=f"window width {width} is not valid"):
        assert show(dicom_dataset, [0, 255], "u1", WindowCenter=10, WindowWidth=width) == [0, 1]


def test_unknown_function_is_refused(dicom_dataset: Make) -> None:
    with pytest.raises(ValueError, match="'CUBIC'"):
        show(dicom_dataset, [0, 255], "u1", WindowCenter=10, WindowWidth=10, VOILUTFunction="CUBIC")


def test_empty_window_means_none(dicom_dataset: Make) -> None:
    assert show(dicom_dataset, [0, 255], "u1", WindowCenter="", WindowWidth="") == [0, 1]


def test_32_bit_values_are_shown(dicom_dataset: Make) -> None:
    window: dict[str, Any] = {"WindowCenter": 100000, "WindowWidth": 200000, "VOILUTFunction": "LINEAR_EXACT"}
    assert show(dicom_dataset, [0, 50000, 200000], "<u4", **window) == pytest.approx([0, 0.25, 1])


def test_many_pixels_are_looked_up_block_by_block(dicom_dataset: Make) -> None:
    stored = np.random.RandomState(0).randint(0, 4096, (301, 703)).astype("<u2")  # not a multiple of the block
    shown = display_values(dicom_dataset(stored, BitsStored=12), stored)
    np.testing.assert_allclose(shown, stored / 4095, atol=1e-6)
