# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radbundles.transforms.picture import read_picture
from radbundles.transforms.read_error import RadiographReadError

GRAY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLORS = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8)


def encode(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=file_format, **options)
    return stream.getvalue()


def read(image: Image.Image, color: str = "gray", **options: Any) -> np.ndarray:
    values, _ = read_picture(encode(image, **options), "picture.png", color=color)
    assert values.dtype == np.float32
    return values


def luma(colors: np.ndarray) -> np.ndarray:
    return colors @ np.array([0.299, 0.587, 0.114]) / 255


def test_eight_bits_are_divided_by_255() -> None:
    np.testing.assert_allclose(read(Image.fromarray(GRAY)), GRAY / 255, atol=1e-6)


def test_sixteen_bits_are_divided_by_65535() -> None:
    stored = np.array([[0, 1, 4095], [40000, 65534, 65535]], dtype=np.uint16)
    np.testing.assert_allclose(read(Image.fromarray(stored)), stored / 65535, atol=1e-7)
    np.testing.assert_allclose(read(Image.fromarray(stored), "rgb")[..., 2], stored / 65535, atol=1e-7)


def test_one_bit_is_black_and_white() -> None:
    np.testing.assert_array_equal(read(Image.fromarray(GRAY > 100)), GRAY > 100)


def test_color_becomes_luma() -> None:
    np.testing.assert_allclose(read(Image.fromarray(COLORS)), luma(COLORS), atol=0.6 / 255)
    np.testing.assert_allclose(read(Image.fromarray(COLORS), "rgb"), COLORS / 255, atol=1e-6)


def test_gray_saved_as_color_is_unchanged() -> None:
    np.testing.assert_allclose(read(Image.fromarray(np.repeat(GRAY[..., None], 3, -1))), GRAY / 255, atol=1e-6)


def test_palette_is_looked_up() -> None:
    image = Image.fromarray((GRAY % 3).astype(np.uint8), mode=None)
    image = image.convert("P")
    image.putpalette([0, 0, 0, 255, 255, 255, 100, 100, 100])
    indices = np.asarray(image)
    np.testing.assert_allclose(read(image), np.array([0, 1, 100 / 255])[indices], atol=1e-6)


def test_transparency_lies_on_black() -> None:
    alpha = np.where(np.arange(8) < 4, 255, 0).astype(np.uint8)[None].repeat(6, 0)
    expected = GRAY / 255 * (alpha / 255)
    np.testing.assert_allclose(read(Image.fromarray(np.dstack([GRAY, alpha]))), expected, atol=1e-6)
    rgba = Image.fromarray(np.dstack([GRAY, GRAY, GRAY, alpha]))
    np.testing.assert_allclose(read(rgba), expected, atol=1e-6)
    palette = Image.fromarray(GRAY).convert("P")
    np.testing.assert_allclose(read(palette, transparency=0)[GRAY > 0], GRAY[GRAY > 0] / 255, atol=1e-6)


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(GRAY, np.ones((8, 8), dtype=np.uint8))  # flat blocks survive JPEG
    values, _ = read_picture(encode(Image.fromarray(blocks), "JPEG", exif=exif, quality=100), "picture.jpg")
    np.testing.assert_allclose(values, np.rot90(blocks, turn) / 255, atol=2 / 255)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_truncated_picture_is_refused(file_format: str, kept: float) -> None:
    noise = Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64)).astype(np.uint8))
    content = encode(noise, file_format)
    with pytest.raises(RadiographReadError, match=r"cut\.png: .* Get the file again"):
        read_picture(content[: int(kept * len(content))], "cut.png")


def test_animation_is_refused() -> None:
    frame = Image.fromarray(GRAY)
    with pytest.raises(RadiographReadError, match="animated picture of 2 frames"):
        read(frame, save_all=True, append_images=[Image.fromarray(255 - GRAY)])


def test_huge_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(Image.fromarray(GRAY))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(RadiographReadError, match="MAX_IMAGE_PIXELS"):
        read_picture(content, "huge.png")


@pytest.mark.parametrize(
    ("image", "meta"),
    [
        (GRAY, {"photometric": "MONOCHROME2"}),
        (np.repeat(GRAY[..., None], 3, axis=-1), {"photometric": "RGB"}),
        (COLORS, {"photometric": "RGB", "colored": True}),
    ],
)
def test_meta_tells_gray_from_color_and_from_gray_stored_in_color(image: np.ndarray, meta: dict[str, object]) -> None:
    assert read_picture(encode(Image.fromarray(image)), "picture.png")[1] == meta
