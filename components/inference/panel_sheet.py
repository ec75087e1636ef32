# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Panels side by side, each the image with a map, outlines or boxes over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radbundles.components.reports import overlay_heat_map

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LONGEST = 1024
NARROWEST = 320
BOX: Color = (64, 224, 255)  # not among the colors of the heat map
BACKGROUND, TEXT = (18, 18, 22), (235, 235, 235)


@dataclass(frozen=True)
class LabeledBox:
    """A box and what stands in its corner.

    Args:
        box: (x0, y0, x1, y1) in pixels of the original image, ends exclusive.
        label: text.
        color: of the box and the text.
    """

    box: np.ndarray
    label: str
    color: Color = BOX


@dataclass(frozen=True)
class Panel:
    """What one panel shows.

    Args:
        title: stands above it, shortened where it is too long.
        value: stands behind the title and is never shortened.
        heat: weights [h, w] over the whole image, none negative.
        maximum: the weight that gets the last color.
        rings: closed lines [n, 2] (x, y) in pixels of the original image.
        boxes: boxes in the same pixels.
    """

    title: str
    value: str = ""
    heat: np.ndarray | None = None
    maximum: float | None = None
    rings: Sequence[np.ndarray] = ()
    boxes: Sequence[LabeledBox] = ()


def draw_panels(preview: np.ndarray, size: tuple[int, int], panels: Sequence[Panel]) -> Image.Image:
    """Draw panels side by side, each in the proportions of the image.

    Args:
        preview: the image, uint8 [h, w] or [h, w, 3], over the whole of the original.
        size: width and height of the original image, which places are counted in.
        panels: at least one.

    Returns:
        RGB picture. A panel's longest side is that of the preview, at most 1024 for one panel and less for several.
    """
    columns = min(4, math.ceil(math.sqrt(len(panels))))
    picture = Image.fromarray(preview)
    side = max(LONGEST // columns, NARROWEST)
    if max(picture.size) < NARROWEST:  # a thumbnail has no room for a title
        grow = NARROWEST / max(picture.size)
        picture = picture.resize((round(picture.width * grow) or 1, round(picture.height * grow) or 1))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    plain = np.asarray(picture, dtype=np.float32) / 255
    points = max(11, min(18, picture.width // 24))
    font = ImageFont.load_default(size=points)
    head = round(points * 1.8)
    tile, gap = (max(picture.width, NARROWEST // 2), picture.height + head), 4
    rows = math.ceil(len(panels) / columns)
    sheet = Image.new("RGB", (columns * (tile[0] + gap) - gap, rows * (tile[1] + gap) - gap), BACKGROUND)
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        left, top = column * (tile[0] + gap), row * (tile[1] + gap)
        shown = picture.convert("RGB")
        if panel.heat is not None:
            blended = overlay_heat_map(plain, panel.heat, maximum=panel.maximum)
            shown = Image.fromarray(np.rint(blended * 255).astype(np.uint8))
        _draw_places(shown, size, panel, font)
        sheet.paste(shown, (left, top + head))
        draw, value = ImageDraw.Draw(sheet), f" {panel.value}" if panel.value else ""
        title = _shorten(draw, panel.title, tile[0] - draw.textlength(value, font=font) - 8, font)
        draw.text((left + 4, top + head // 2), title + value, fill=TEXT, font=font, anchor="lm")
    return sheet


def _draw_places(picture: Image.Image, size: tuple[int, int], panel: Panel, font: Font) -> None:
    draw = ImageDraw.Draw(picture)
    scale = np.array([picture.width / size[0], picture.height / size[1]])
    for ring in panel.rings:
        line = np.concatenate([ring, ring[:1]]) * scale - 0.5  # Pillow's pixels have their centers at 0
        draw.line(line.ravel().tolist(), fill=BOX, width=2, joint="curve")
    for one in panel.boxes:
        x0, y0, x1, y1 = (one.box * np.tile(scale, 2)).tolist()
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=one.color, width=2)
        # Radiographs are dark in one place and bright in another.
        draw.text((x0 + 4, y0 + 2), one.label, fill=one.color, font=font, stroke_width=2, stroke_fill=BACKGROUND)


def _shorten(draw: ImageDraw.ImageDraw, text: str, width: float, font: Font) -> str:
    text = " ".join(text.split())
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text.rstrip() + "..."
