# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Maps and boxes or outlines drawn over an image, one panel for each thing that was asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from radbundles.components.inference.panel_sheet import LabeledBox, Panel, draw_panels
from radbundles.components.inference.sample_content import sample_content
from radbundles.components.zero_shot.results import Grounding, Segmentation

SAMPLES = 96


def draw_overlay(preview: np.ndarray, found: Sequence[Grounding | Segmentation]) -> Image.Image:
    """Draw what was found side by side, each in the proportions of the image.

    Phrases share one scale of colors, and so do classes, so that a map with hardly any slope stays pale. Scores go
    from 0 to 1; their masks are outlined in place of boxes.

    Args:
        preview: the image, uint8 [h, w], over the whole of the original.
        found: in one image, at least one.

    Returns:
        RGB picture, see :func:`~radbundles.components.inference.draw_panels`.
    """
    heats = [_heat(one) for one in found]
    strongest: dict[type, float] = {}
    for one, heat in zip(found, heats, strict=True):
        strongest[type(one)] = 1.0 if one.logits else max(strongest.get(type(one), 0.0), float(heat.max()))
    panels = [_panel(one, heat, strongest[type(one)]) for one, heat in zip(found, heats, strict=True)]
    frame = found[0].frame
    return draw_panels(preview, (frame.width, frame.height), panels)


def _heat(found: Grounding | Segmentation) -> np.ndarray:
    """Scores, or what is above the middle of a map of cosines, so that half of the image stays as it is."""
    values = sample_content(found.cells[None], found.frame, SAMPLES)[0]
    if found.logits:
        return values.sigmoid().cpu().numpy()
    above = values.cpu().numpy()
    return (above - np.median(above)).clip(min=0)


def _panel(found: Grounding | Segmentation, heat: np.ndarray, maximum: float) -> Panel:
    title = found.phrase if isinstance(found, Grounding) else found.name
    if found.logits:
        rings = [ring for polygon in found.polygons for ring in (polygon.exterior, *polygon.holes)]
        return Panel(title, f"{found.peak:.2f}", heat, maximum, rings=rings)
    boxes = [LabeledBox(box, f"{score:.2f}") for box, score in zip(found.boxes, found.scores, strict=True)]
    return Panel(title, f"{found.similarity:.2f}", heat, maximum, boxes=boxes)
