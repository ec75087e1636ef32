# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from radbundles.transforms.dicom import is_dicom, read_dicom
from radbundles.transforms.read_error import RadiographReadError

Write = Callable[..., Path]
RAMP = np.arange(12, dtype="<u2").reshape(3, 4) * 300
WINDOW: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT", "BitsStored": 12}


def read(path: Path, **options: Any) -> np.ndarray:
    return read_dicom(path.read_bytes(), path.name, **options)[0]


def without_header(path: Path) -> bytes:
    """The bare data set: no preamble, no file meta information."""
    content = path.read_bytes()
    return content[144 + struct.unpack("<I", content[140:144])[0] :]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.sampled_from([8, 10, 12, 15, 16]),
    signed=st.booleans(),
    mono1=st.booleans(),
    syntax=st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_round_trip_over_bits_sign_polarity_and_encoding(
    dicom_file: Write, bits: int, signed: bool, mono1: bool, syntax: str, shape: tuple[int, int], seed: int
) -> None:
    low = -(1 << bits - 1) if signed else 0
    kind = ("<i" if signed else "<u") + str(1 if bits == 8 else 2)
    stored = (np.random.RandomState(seed).randint(0, 1 << bits, shape) + low).astype(kind)
    path = dicom_file(
        stored,
        TransferSyntaxUID=syntax,
        BitsStored=bits,
        PhotometricInterpretation="MONOCHROME1" if mono1 else "MONOCHROME2",
        WindowCenter=low + (1 << bits - 1),
        WindowWidth=1 << bits,
        VOILUTFunction="LINEAR_EXACT",
    )
    expected = (stored.astype(float) - low) / (1 << bits)
    np.testing.assert_allclose(read(path), 1 - expected if mono1 else expected, atol=1e-6)


def test_unused_high_bits_and_overlays_in_them_are_cleared(dicom_file: Write) -> None:
    overlay = (np.arange(12).reshape(3, 4) % 2 * 0xF000).astype("<u2")
    np.testing.assert_array_equal(read(dicom_file(RAMP | overlay, **WINDOW)), read(dicom_file(RAMP, **WINDOW)))


def test_sign_of_short_samples_is_extended(dicom_file: Write) -> None:
    stored = np.array([[-2048, -1, 0, 2047]], dtype="<i2")
    path = dicom_file(stored & 0x0FFF, **(WINDOW | {"WindowCenter": 0}))  # upper bits zero, as some writers leave them
    np.testing.assert_allclose(read(path), (stored + 2048) / 4096, atol=1e-6)


@pytest.mark.parametrize("kind", ["<u2", "<i2"])
def test_samples_at_the_top_of_the_word_are_moved_down(dicom_file: Write, kind: str) -> None:
    stored = (RAMP - (2048 if kind == "<i2" else 0)).astype(kind)
    window = WINDOW | {"WindowCenter": 0 if kind == "<i2" else 2048}
    shifted = dicom_file(stored << 4 | 0xF, "shifted.dcm", HighBit=15, **window)
    np.testing.assert_array_equal(read(shifted), read(dicom_file(stored, **window)))


def test_big_endian_is_read(dicom_file: Write) -> None:
    path = dicom_file(RAMP, TransferSyntaxUID=ExplicitVRBigEndian, PixelData=RAMP.astype(">u2").tobytes(), **WINDOW)
    np.testing.assert_allclose(read(path), RAMP / 4096, atol=1e-6)


@pytest.mark.parametrize("planar", [0, 1])
def test_color_secondary_capture_becomes_its_luma(dicom_file: Write, planar: int) -> None:
    colors = np.random.RandomState(0).randint(0, 256, (4, 6, 3)).astype("u1")
    data = (colors.transpose(2, 0, 1) if planar else colors).tobytes()
    path = dicom_file(colors, SOPClassUID=SecondaryCaptureImageStorage, PlanarConfiguration=planar, PixelData=data)
    np.testing.assert_allclose(read(path), colors @ [0.299, 0.587, 0.114] / 255, atol=1e-6)
    np.testing.assert_allclose(read(path, color="rgb"), colors / 255, atol=1e-6)


def test_ybr_is_converted_to_rgb(dicom_file: Write) -> None:
    gray = np.full((2, 2, 3), 128, dtype="u1")
    gray[..., 0] = [[0, 50], [100, 255]]
    path = dicom_file(gray, PhotometricInterpretation="YBR_FULL", PlanarConfiguration=0)
    np.testing.assert_allclose(read(path), gray[..., 0] / 255, atol=1e-6)


def test_palette_becomes_gray(dicom_file: Write) -> None:
    palette = np.array([0, 65535, 32768, 10000], dtype="<u2")
    attributes: dict[str, Any] = {}
    for channel in ("Red", "Green", "Blue"):
        attributes[f"{channel}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        attributes[f"{channel}PaletteColorLookupTableData"] = palette.tobytes()
    stored = np.array([[0, 1], [2, 3]], dtype="u1")
    path = dicom_file(stored, PhotometricInterpretation="PALETTE COLOR", **attributes)
    np.testing.assert_allclose(read(path), palette[stored] / 65535, atol=1e-6)


def test_gray_image_has_three_equal_channels_as_rgb(dicom_file: Write) -> None:
    shown = read(dicom_file(RAMP, **WINDOW), color="rgb")
    assert shown.shape == (3, 4, 3)
    np.testing.assert_allclose(shown, np.repeat(RAMP[..., None], 3, axis=-1) / 4096, atol=1e-6)


def test_frames_are_refused_unless_one_is_chosen(dicom_file: Write) -> None:
    stored = np.array([[10, 20]], dtype="u1")
    path = dicom_file(stored, NumberOfFrames=2, PixelData=bytes([10, 20, 30, 40]))
    with pytest.raises(RadiographReadError, match=r"image\.dcm: 2 frames .* frame=0"):
        read(path)
    np.testing.assert_allclose(read(path, frame=1), [[30 / 255, 40 / 255]], atol=1e-6)
    with pytest.raises(RadiographReadError, match="frame 2 is asked for, but the file has 2"):
        read(path, frame=2)


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 1.25}, (0.16, 0.08)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 0}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 0.5}, (0.2, 0.1)),
        ({"PixelSpacing": [0.3, 0.4]}, (0.3, 0.4)),
        # Pixel Spacing that differs is calibrated to the patient already: not divided again.
        (
            {
                "PixelSpacing": [0.15, 0.15],
                "ImagerPixelSpacing": [0.2, 0.2],
                "EstimatedRadiographicMagnificationFactor": 2,
            },
            (0.15, 0.15),
        ),
        # Pixel Spacing that merely repeats the detector's is not.
        (
            {
                "PixelSpacing": [0.2, 0.2],
                "ImagerPixelSpacing": [0.2, 0.2],
                "EstimatedRadiographicMagnificationFactor": 2,
            },
            (0.1, 0.1),
        ),
        ({"NominalScannedPixelSpacing": [0.175, 0.175]}, (0.175, 0.175)),
        ({"PixelSpacing": [0, 0]}, None),
    ],
)
def test_spacing_is_that_of_the_patient(
    dicom_file: Write, attributes: dict[str, Any], spacing: tuple[float, float] | None
) -> None:
    meta = read_dicom(dicom_file(RAMP, **attributes).read_bytes(), "image.dcm")[1]
    assert meta.get("spacing") == (None if spacing is None else pytest.approx(spacing))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_bare_data_set_without_header_is_recognized_and_read(dicom_file: Write, syntax: str) -> None:
    data = RAMP.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()
    path = dicom_file(RAMP, TransferSyntaxUID=syntax, PixelData=data, **WINDOW)
    bare = without_header(path)
    assert is_dicom(bare[:132])
    np.testing.assert_array_equal(read_dicom(bare, "bare")[0], read(path))


def test_missing_preamble_is_no_obstacle(dicom_file: Write) -> None:
    path = dicom_file(RAMP, **WINDOW)
    content = path.read_bytes()[132:]
    assert is_dicom(content[:132])
    np.testing.assert_array_equal(read_dicom(content, "image")[0], read(path))


@pytest.mark.parametrize("content", [b"", b"\x08\x00", b"just text, no image" * 10, b"\x89PNG\r\n\x1a\n" + bytes(200)])
def test_other_content_is_not_taken_for_dicom(content: bytes) -> None:
    assert not is_dicom(content)


def test_compressed_data_set_without_header_is_refused(dicom_file: Write) -> None:
    path = dicom_file(RAMP, **WINDOW)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    np.testing.assert_allclose(read(path), RAMP / 4096, atol=1e-6)
    with pytest.raises(RadiographReadError, match="no Transfer Syntax UID .* Part 10"):
        read_dicom(without_header(path), "bare.dcm")


def test_file_without_pixels_names_what_it_is(dicom_file: Write) -> None:
    path = dicom_file(RAMP, SOPClassUID=EncapsulatedPDFStorage)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData, dataset.Rows, dataset.Columns
    dataset.save_as(path)
    with pytest.raises(RadiographReadError, match=r"image\.dcm: .* no image \(Encapsulated PDF Storage\)"):
        read(path)


def test_any_sop_class_with_pixels_is_read(dicom_file: Write) -> None:
    path = dicom_file(RAMP, SOPClassUID=EncapsulatedPDFStorage, **WINDOW)
    np.testing.assert_allclose(read(path), RAMP / 4096, atol=1e-6)


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_truncated_file_is_refused(dicom_file: Write, kept: float) -> None:
    stored = np.zeros((64, 64), dtype="<u2")
    content = dicom_file(stored).read_bytes()
    with pytest.raises(RadiographReadError, match=r"cut\.dcm: .* Get the file again"):
        read_dicom(content[: int(kept * len(content))], "cut.dcm")


def test_file_that_ends_before_its_pixels_says_so(dicom_file: Write) -> None:
    content = dicom_file(RAMP).read_bytes()
    start = content.index(struct.pack("<HH", 0x7FE0, 0x0010))
    with pytest.raises(RadiographReadError, match=r"cut\.dcm: .* ends before its pixels"):
        read_dicom(content[:start], "cut.dcm")


def test_malformed_attribute_is_named_with_the_file(dicom_file: Write) -> None:
    path = dicom_file(RAMP, RescaleSlope=0)
    with pytest.raises(RadiographReadError, match=r"image\.dcm: malformed DICOM attribute: Rescale Slope"):
        read(path)
    broken = path.read_bytes().replace(b"MONOCHROME2 ", b"HSV         ")
    with pytest.raises(RadiographReadError, match=r"image\.dcm: .*'HSV' is not supported"):
        read_dicom(broken, "image.dcm")


def test_names_and_ids_of_patients_stay_out_of_meta_and_errors(dicom_file: Write) -> None:
    stored = np.zeros((64, 64), dtype="<u2")
    path = dicom_file(stored)
    content = path.read_bytes()
    assert b"Secret" in content
    assert b"PID-4711" in content
    said = [repr(read_dicom(content, "image.dcm")[1])]
    for cut in range(140, len(content), 97):
        with pytest.raises(RadiographReadError) as caught:
            read_dicom(content[:cut], "image.dcm")
        said.append(repr(caught.value) + repr(caught.value.__cause__))
    assert not any("Secret" in one or "4711" in one for one in said)


PIP = {
    "1.2.840.10008.1.2.4.50": "pip install pillow",
    "1.2.840.10008.1.2.4.51": "pip install pylibjpeg pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.57": "pip install python-gdcm",
    "1.2.840.10008.1.2.4.70": "pip install python-gdcm",
    "1.2.840.10008.1.2.4.80": "pip install pyjpegls",
    "1.2.840.10008.1.2.4.81": "pip install pyjpegls",
    "1.2.840.10008.1.2.4.90": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pip install pylibjpeg pylibjpeg-openjpeg",
}


def relabelled(path: Path, syntax: str) -> bytes:
    """The file with another transfer syntax in its header; decoding is not reached."""
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.save_as(path)
    return path.read_bytes()


@pytest.mark.parametrize(("syntax", "install"), PIP.items())
def test_missing_decoder_names_file_syntax_and_package(
    dicom_file: Write, monkeypatch: pytest.MonkeyPatch, syntax: str, install: str
) -> None:
    content = relabelled(dicom_file(RAMP), syntax)
    monkeypatch.setattr(get_decoder(syntax), "_available", {})
    with pytest.raises(RadiographReadError) as caught:
        read_dicom(content, "image.dcm")
    message = str(caught.value)
    assert message.startswith("image.dcm: transfer syntax ")
    assert f"({syntax})" in message
    assert pydicom.uid.UID(syntax).name in message
    assert install in message
    assert ("GPL-3" in message) == ("pylibjpeg-libjpeg" in message)


def test_damaged_compressed_pixels_name_the_decoder(dicom_file: Write) -> None:
    content = relabelled(dicom_file(RAMP), "1.2.840.10008.1.2.4.50")
    with pytest.raises(RadiographReadError, match=r"JPEG Baseline .* pixels cannot be decoded \(pillow: "):
        read_dicom(content, "image.dcm")


def test_unknown_transfer_syntax_is_named(dicom_file: Write) -> None:
    content = relabelled(dicom_file(RAMP), "1.2.840.10008.1.2.4.102")
    with pytest.raises(RadiographReadError, match=r"\(1\.2\.840\.10008\.1\.2\.4\.102\) is not supported"):
        read_dicom(content, "image.dcm")


def decodable(path: Path) -> bool:
    return bool(get_decoder(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID).is_available)


def test_real_files_are_shown_as_their_reference_pictures(shared_data: Path) -> None:
    compared, skipped = 0, []
    for row in json.loads((shared_data / "dicom/index.json").read_text()):
        if not row["expected_png"]:
            continue
        path = shared_data / row["file"]
        if not decodable(path):
            skipped.append(f"{path.name}: {row['transfer_syntax']}")
            continue
        shown, meta = read_dicom(path.read_bytes(), path.name)
        reference = np.asarray(Image.open(shared_data / row["expected_png"])).astype(float)
        assert meta["photometric"] == row["photometric"]
        if "stored_values" in row["expected_png"]:  # the window by PS3.3 C.11.2.1.2.1 and the inversion, anew
            center, width = row["window"]
            assert row["photometric"] == "MONOCHROME1"
            expected = 1 - np.clip((reference - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
            assert np.abs(shown - expected).max() < 1e-6, path.name
        else:  # to the very gray level, lossy JPEG included
            assert np.abs(np.rint(shown * 255) - reference).max() == 0, path.name
        compared += 1
    assert compared, "no reference could be compared"
    if skipped:
        pytest.skip(f"{compared} files compared, no decoder for {skipped}")


def test_real_files_of_every_decoder_agree(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for row in json.loads((shared_data / "dicom/index.json").read_text()):
        path = shared_data / row["file"]
        if row["rows"] > 1100:  # seconds in JPEG 2000
            continue
        content, decoder = path.read_bytes(), get_decoder(row["transfer_syntax_uid"])
        results = []
        for plugin in decoder.available_plugins:
            with monkeypatch.context() as patch:
                patch.setattr(decoder, "_available", {plugin: decoder._available[plugin]})
                results.append(read_dicom(content, path.name)[0])
        for result in results[1:]:
            assert np.abs(result - results[0]).max() <= 1 / 255, (path.name, decoder.available_plugins)
