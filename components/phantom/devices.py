# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tubes and lines: central venous catheter, pacemaker, endotracheal tube."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from radbundles.components.phantom.anatomy import SIDES, Anatomy
from radbundles.components.phantom.findings import Finding
from radbundles.components.phantom.lesions import Change
from radbundles.components.phantom.patient import Exam

Point = tuple[float, float]


def _curve(points: Sequence[Point], count: int = 60) -> list[Point]:
    """Smooth curve through points (Catmull-Rom, ends repeated)."""
    p = np.asarray([points[0], *points, points[-1]], float)
    t = np.linspace(0, len(points) - 1 - 1e-9, count)
    k = t.astype(int)
    u = (t - k)[:, None]
    a, b, c, d = p[k], p[k + 1], p[k + 2], p[k + 3]
    at = 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)
    return [(float(x), float(y)) for x, y in at]


class _Pen:
    """Draws in cm on a canvas of twice the resolution."""

    def __init__(self, chest: Anatomy, exam: Exam) -> None:
        self.chest, self.size = chest, chest.x.shape[1]
        self.scale = 2 * self.size / exam.field
        self.canvas = Image.new("L", (2 * self.size, 2 * self.size))
        self.draw = ImageDraw.Draw(self.canvas)

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Canvas positions of points measured from the spine, which bends."""
        out = []
        for x, y in points:
            row = min(max(int(y * self.scale / 2), 0), self.size - 1)
            out.append(((x - float(self.chest.x[row, 0])) * self.scale, y * self.scale))
        return out

    def line(self, points: Sequence[Point], width: float, fill: int) -> None:
        self.draw.line(self.place(points), fill=fill, width=max(2, round(width * self.scale)), joint="curve")

    def shape(self, points: Sequence[Point], fill: int) -> None:
        self.draw.polygon(self.place(points), fill=fill)

    def change(self, strength: float) -> Change:
        """The drawing as ``strength`` cm of water where it is white."""
        drawn = np.asarray(self.canvas.reduce(2))
        return Change(mask=drawn > 40, added=drawn * np.float32(strength / 255))


def catheter(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """From a neck or subclavian vein to the lower end of the superior vena cava."""
    pen, sign = _Pen(chest, exam), SIDES[finding.side]
    carina = chest.hila["left"][1] - 1.6
    tip = (-2.0 + rng.uniform(-0.3, 0.2), carina + rng.uniform(1.0, 4.2))
    cava = (-2.1, carina - 2.2)
    if rng.random() < 0.6:
        start = [(sign * rng.uniform(4.2, 5.0), -1.0), (sign * 3.9, chest.apex - 1.5), (sign * 2.9, chest.apex + 1.8)]
    else:
        start = [(sign * 10.5, chest.apex + 4.4), (sign * 8.0, chest.apex + 2.3), (sign * 4.6, chest.apex + 2.4)]
    if sign > 0:
        start.append((0.6, chest.apex + 4.4))
    pen.line(_curve([*start, cava, tip]), 0.22, 255)
    return pen.change(3.6)


def pacemaker(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """Generator under the collar bone and leads to the right atrium and ventricle."""
    pen, sign = _Pen(chest, exam), SIDES[finding.side]
    cx, cy = sign * rng.uniform(8.2, 9.4), chest.apex + rng.uniform(5.2, 6.8)
    around = np.linspace(0, 2 * np.pi, 48, endpoint=False)

    def oval(rx: float, ry: float, x: float = cx, y: float = cy) -> list[Point]:
        turn = [(np.cos(a), np.sin(a)) for a in around]
        return [(x + rx * np.sign(c) * abs(c) ** 0.7, y + ry * np.sign(s) * abs(s) ** 0.7) for c, s in turn]

    vein = [(cx - sign * 1.0, cy - 2.0), (sign * 6.0, chest.apex + 2.6), (sign * 3.2, chest.apex + 3.4)]
    if sign > 0:
        vein.append((0.0, chest.apex + 5.2))
    carina, base = chest.hila["left"][1] - 1.6, chest.base["left"]
    leads = [[(-2.0, carina + 1.0), (-2.7, base - 4.6), (-1.2, base - 3.0), (-2.3, base - 5.6)]]
    leads.append([(-2.2, carina + 1.2), (-2.3, base - 4.2), (1.0, base - 1.4), (5.2, base - 1.2)])
    for lead in leads[: 1 + int(rng.random() < 0.7)][::-1]:
        pen.line(_curve([*vein, *lead], 90), 0.16, 90)
        pen.line(_curve(lead[-2:], 12)[-3:], 0.28, 150)
    pen.shape(oval(2.5, 2.1), 190)
    pen.shape(oval(2.2, 1.8), 130)
    pen.shape(oval(1.5, 0.9, cx, cy + 0.6), 255)
    pen.shape(oval(1.2, 0.45, cx - 0.3, cy - 1.45), 215)
    return pen.change(9.0)


def tube(chest: Anatomy, finding: Finding, exam: Exam, rng: np.random.Generator) -> Change:
    """Breathing tube in the trachea: two thin walls and a dense stripe, ending above the carina."""
    pen = _Pen(chest, exam)
    end = chest.hila["left"][1] - 1.6 - rng.uniform(2.6, 5.0)
    drift = -0.5 * exam.rotation
    path = _curve([(drift + rng.uniform(-0.4, 0.4), -1.0), (drift, 0.5 * end), (drift - 0.1, end)])
    pen.line(path, 0.95, 120)
    pen.line(path, 0.66, 62)
    pen.line([(x + 0.28, y) for x, y in path], 0.13, 255)
    return pen.change(4.0)
