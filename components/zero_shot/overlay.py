# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Maps and boxes or outlines drawn over an image, one panel for each thing that was asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radbundles.components.reports import overlay_heat_map
from radbundles.components.zero_shot.locate import sample_content
from radbundles.components.zero_shot.results import Grounding, Segmentation

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LONGEST = 1024
NARROWEST = 320
SAMPLES = 96
BOX = (64, 224, 255)  # not among the colors of the heat map
BACKGROUND, TEXT = (18, 18, 22), (235, 235, 235)


@dataclass(frozen=True)
class Panel:
    """What one panel shows.

    Args:
        title: the phrase or the class.
        found: where it lies.
    """

    title: str
    found: Grounding | Segmentation

    def heat(self) -> np.ndarray:
        """Scores, or what is above the middle of a map of cosines, so that half of the image stays as it is."""
        values = sample_content(self.found.cells[None], self.found.frame, SAMPLES)[0]
        if self.found.logits:
            return values.sigmoid().cpu().numpy()
        above = values.cpu().numpy()
        return (above - np.median(above)).clip(min=0)


def draw_overlay(preview: np.ndarray, panels: Sequence[Panel]) -> Image.Image:
    """Draw panels side by side, each in the proportions of the image.

    Phrases share one scale of colors, and so do classes, so that a map with hardly any slope stays pale. Scores go
    from 0 to 1; their masks are outlined in place of boxes.

    Args:
        preview: the image, uint8 [h, w], over the whole of the original.
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
    gray = np.asarray(picture, dtype=np.float32) / 255
    points = max(11, min(18, picture.width // 24))
    font = ImageFont.load_default(size=points)
    head = round(points * 1.8)
    tile, gap = (max(picture.width, NARROWEST // 2), picture.height + head), 4
    rows = math.ceil(len(panels) / columns)
    sheet = Image.new("RGB", (columns * (tile[0] + gap) - gap, rows * (tile[1] + gap) - gap), BACKGROUND)
    heats = [panel.heat() for panel in panels]
    strongest: dict[type, float] = {}
    for panel, heat in zip(panels, heats, strict=True):
        kind = type(panel.found)
        strongest[kind] = 1.0 if panel.found.logits else max(strongest.get(kind, 0.0), float(heat.max()))
    for place, (panel, heat) in enumerate(zip(panels, heats, strict=True)):
        row, column = divmod(place, columns)
        left, top = column * (tile[0] + gap), row * (tile[1] + gap)
        blended = overlay_heat_map(gray, heat, maximum=strongest[type(panel.found)])
        sheet.paste(_with_places(blended, panel.found, font), (left, top + head))
        value = f" {panel.found.peak if panel.found.logits else panel.found.similarity:.2f}"
        draw = ImageDraw.Draw(sheet)
        title = _shorten(draw, panel.title, tile[0] - draw.textlength(value, font=font) - 8, font)
        draw.text((left + 4, top + head // 2), title + value, fill=TEXT, font=font, anchor="lm")
    return sheet


def _with_places(blended: np.ndarray, found: Grounding | Segmentation, font: Font) -> Image.Image:
    picture = Image.fromarray(np.rint(blended * 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    scale = np.array([picture.width / found.frame.width, picture.height / found.frame.height] * 2)
    if found.logits:
        for polygon in found.polygons:
            for ring in (polygon.exterior, *polygon.holes):
                line = np.concatenate([ring, ring[:1]]) * scale[:2] - 0.5  # Pillow's pixels have their centers at 0
                draw.line(line.ravel().tolist(), fill=BOX, width=2, joint="curve")
        return picture
    for box, score in zip(found.boxes, found.scores, strict=True):
        x0, y0, x1, y1 = (box * scale).tolist()
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=BOX, width=2)
        draw.text((x0 + 4, y0 + 2), f"{score:.2f}", fill=BOX, font=font)
    return picture


def _shorten(draw: ImageDraw.ImageDraw, text: str, width: float, font: Font) -> str:
    text = " ".join(text.split())
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text.rstrip() + "..."
