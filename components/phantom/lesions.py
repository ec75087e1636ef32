# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How findings change the path lengths: fluid fills air, a pneumothorax empties lung, lesions add tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from radbundles.components.phantom.anatomy import SIDES, Anatomy, Field, Mask, enlarge, round_top, step
from radbundles.components.phantom.findings import Finding
from radbundles.components.phantom.patient import Exam
from radbundles.components.phantom.vessels import smooth_noise


@dataclass(frozen=True)
class Change:
    """What one finding does to the chest; each field broadcasts to ``[H, W]``.

    Args:
        mask: pixels that belong to the finding.
        fill: share of the air that is replaced with water.
        empty: share of the lung tissue that is replaced with air; negative where the lung is packed more tightly.
        added: water-equivalent length laid on top, in cm.
    """

    mask: Mask
    fill: Field | None = None
    empty: Field | None = None
    added: Field | None = None


def _cavity(chest: Anatomy, side: str) -> Field:
    """1 on one side of the spine, 0 on the other, without a visible seam."""
    return step(SIDES[side] * chest.x, 0.2)


def _spot(chest: Anatomy, side: str, zone: str, rng: np.random.Generator) -> tuple[float, float]:
    """A place within the visible lung of a zone, in cm."""
    lung = chest.lungs[side]
    low, high = {"upper": (0.22, 0.36), "middle": (0.44, 0.60), "lower": (0.70, 0.84)}[zone]
    rows = np.flatnonzero(lung.any(1))
    row = rows[int((low + (high - low) * rng.random()) * (len(rows) - 1))]
    columns = np.flatnonzero(lung[row])
    column = columns[int((0.28 + 0.44 * rng.random()) * (len(columns) - 1))]
    return float(chest.x[row, column]), float(chest.y[row, 0])


def effusion(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """Fluid that blunts the angle, rises along the wall as a meniscus and hides what lies below."""
    level = {"small": (0.4, 2.0), "moderate": (3.6, 6.0), "large": (9.0, 13.0)}[finding.size]
    rise = {"small": 2.2, "moderate": 3.4, "large": 3.0}[finding.size]
    if finding.subtle:
        level, rise = (-0.4, 0.3), 1.5
    top = chest.base[finding.side] + 1.0 - rng.uniform(*level)
    wall = np.square(np.clip((chest.xi - np.float32(0.42)) * np.float32(1 / 0.58), 0, 1))
    edge = chest.y - (np.float32(top) - np.float32(rise) * wall)
    fill = step(edge, 0.9 if finding.size == "small" else 1.3) * _cavity(chest, finding.side)
    return Change(
        mask=chest.lungs[finding.side] & (fill > 0.5), fill=fill * np.float32(0.7 if finding.subtle else 0.96)
    )


def pneumothorax(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """Air outside the lung: no vessels beyond a fine white line that follows the apex and the wall."""
    apex = {"small": (1.8, 2.6), "moderate": (3.2, 4.6), "large": (5.5, 7.5)}[finding.size]
    deep = rng.uniform(*apex) * (0.7 if finding.subtle else 1.0)
    lung = chest.lungs[finding.side]
    top = float(chest.y[np.flatnonzero(lung.any(1))[0], 0])
    reach = deep * rng.uniform(2.4, 3.4)
    down = np.clip((chest.y - top) / reach, 0, 1)
    wall = chest.width * (1 - chest.xi) - np.float32(0.42 * deep) * (1 - down * down)
    crown = chest.y - np.float32(top + deep) - 0.12 * np.square(np.abs(chest.x) - 5)
    inward = np.minimum(wall, crown) * _cavity(chest, finding.side)  # cm inside the collapsed lung
    outside = (inward < 0) & lung
    line = np.exp(-np.square(inward / 0.07)) * lung * (down < 1)
    beyond = step(-inward, 0.05)
    empty = (beyond - np.float32(0.45) * (1 - beyond) * np.exp(-np.maximum(inward, 0) / np.float32(2.5))) * lung
    strength = 0.45 if finding.subtle else 1.0
    return Change(mask=outside, empty=empty * np.float32(strength), added=line * np.float32(1.3 * strength))


def airspace(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """Consolidation or opacity: a patchy cloud of filled lung, dense with open bronchi, or hazy."""
    size = chest.x.shape[1]
    dense = finding.name == "consolidation"
    cx, cy = _spot(chest, finding.side, finding.zone, rng)
    rx, ry = rng.uniform(2.4, 3.8), rng.uniform(2.0, 3.2)
    half_x, half_y = chest.x[::2, ::2], chest.y[::2]
    warp = sum(
        share * smooth_noise(rng, half_x.shape[1], cells) for share, cells in ((0.26, 10), (0.13, 30), (0.09, 80))
    )
    radius = np.sqrt(((half_x - cx) / rx) ** 2 + ((half_y - cy) / ry) ** 2) + warp
    cloud = step(np.float32(1.0) - radius, 0.55 if dense else 0.85)
    fill = enlarge(cloud, size) * _cavity(chest, finding.side)
    mask = chest.lungs[finding.side] & (fill > (0.4 if dense else 0.35))
    if dense:
        # bronchi stay open; they run outward from the hilum
        half = half_x.shape[1]
        scale = half / exam.field
        canvas = Image.new("L", (half, half), 255)
        draw = ImageDraw.Draw(canvas)
        hx, hy = chest.hila[finding.side]
        outward = np.arctan2(cy - hy, cx - hx)
        middle = np.array([float(np.abs(half_x[int(cy * scale)] - cx).argmin()), cy * scale])
        for turn in rng.uniform(-0.6, 0.6, 5):
            along = np.array([np.cos(outward + turn), np.sin(outward + turn)]) * scale
            draw.line([*(middle - 1.4 * along), *(middle + 2.2 * along)], fill=130, width=max(1, round(0.15 * scale)))
        soft = canvas.filter(ImageFilter.GaussianBlur(0.07 * scale))
        fill = fill * enlarge(np.asarray(soft, np.float32) * np.float32(1 / 255), size)
    strength = (0.62 if dense else 0.30) * (0.42 if finding.subtle else 1.0)
    return Change(mask=mask, fill=fill * np.float32(strength))


def nodule(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """A ball of soft tissue with a slightly lobed outline."""
    cx, cy = _spot(chest, finding.side, finding.zone, rng)
    radius = finding.millimeters / 20
    dx, dy = chest.x - np.float32(cx), chest.y - np.float32(cy)
    near = (np.abs(dx) < 2 * radius) & (np.abs(dy) < 2 * radius)
    angle = np.arctan2(np.broadcast_to(dy, dx.shape)[near], dx[near])
    lobes = 1 + 0.04 * np.cos(3 * angle + rng.uniform(0, 6.3)) + 0.02 * np.cos(5 * angle + rng.uniform(0, 6.3))
    distance = np.full_like(dx, 9.0)
    distance[near] = np.sqrt(dx * dx + dy * dy)[near] / (radius * lobes)
    ball = np.minimum(3 * (1 - np.minimum(distance, 1)), round_top(np.square(distance))) * np.float32(
        2 * radius * (0.8 if finding.subtle else 1.25)
    )
    return Change(mask=distance < 1, added=ball)


def atelectasis(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """One to three thin plates of airless lung above the diaphragm."""
    lung = chest.lungs[finding.side]
    total = np.zeros_like(chest.x)
    for number in range(int(rng.integers(1, 4))):
        cx = SIDES[finding.side] * rng.uniform(0.45, 0.7) * chest.width.max()
        cy = chest.base[finding.side] - 1.3 - 1.3 * number - rng.uniform(0, 0.4)
        slope = SIDES[finding.side] * rng.uniform(-0.12, 0.28)
        along = (chest.x - np.float32(cx)) / np.float32(rng.uniform(2.0, 3.6))
        across = (
            chest.y - np.float32(cy) - np.float32(slope) * (chest.x - np.float32(cx)) + 0.25 * along * along
        ) / rng.uniform(0.16, 0.3)
        total = np.maximum(total, np.exp(-np.square(across)) * round_top(np.square(np.square(along))))
    total *= lung
    strength = 0.7 if finding.subtle else 1.9
    return Change(mask=total > 0.35, added=total * np.float32(strength))


def edema(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """Perihilar haze on both sides, like the wings of a bat, with coarse markings and short septal lines."""
    size = chest.x.shape[1]
    half_x, half_y = chest.x[::2, ::2], chest.y[::2]
    wings = np.zeros_like(half_x)
    for side, (hx, hy) in chest.hila.items():
        wide = rng.uniform(4.2, 5.6)
        wings += np.exp(-np.square((half_x - (hx + 2.2 * SIDES[side])) / wide) - np.square((half_y - hy - 2) / 6.5))
    coarse = 1 + 0.22 * smooth_noise(rng, half_x.shape[1], 60) + 0.15 * smooth_noise(rng, half_x.shape[1], 22)
    haze = enlarge(np.clip(np.minimum(wings, 1) * coarse, 0, 1).astype(np.float32), size)
    septa = step((chest.xi - np.float32(0.86)), 0.04) * step(chest.y - np.float32(chest.base["right"] - 6), 1.0)
    septa = septa * np.square(np.maximum(np.sin(chest.y * np.float32(2 * np.pi / 0.85)), 0)) ** 2 * (chest.xi < 0.985)
    lungs = chest.lungs["left"] | chest.lungs["right"]
    strength = 0.42 if finding.subtle else 1.0
    return Change(
        mask=lungs & (haze > 0.35),
        fill=haze * np.float32(0.38 * strength),
        added=septa * lungs * np.float32(0.35 * strength),
    )
