# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Lung texture of the phantom: hila, a branching vessel tree, fine interstitial noise."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from radbundles.components.phantom.anatomy import SIDES, Anatomy, Field, enlarge
from radbundles.components.phantom.patient import Exam

_FULL = 0.9  # vessel diameter in cm that the 8-bit canvas shows as white


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Unit-variance noise with ``cells`` cells a side, enlarged to ``size``: the same pattern at every size."""
    small = Image.fromarray(rng.standard_normal((cells, cells), np.float32))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))


def _grow(rng: np.random.Generator, start: tuple[float, float], sign: int) -> list[tuple[float, ...]]:
    """Segments ``(x0, y0, x1, y1, diameter)`` in cm of one lung's tree, all branches a step at a time."""
    count = 13
    angle = np.linspace(-1.45, 1.5, count) + rng.normal(0, 0.12, count)
    at = np.tile(np.asarray(start), (count, 1)) + rng.normal(0, 0.5, (count, 2))
    wide = rng.uniform(0.30, 0.62, count)
    segments: list[tuple[float, ...]] = []
    for _ in range(14):
        stride = rng.uniform(0.7, 1.25, len(at))
        angle = angle + rng.normal(0, 0.16, len(at))
        to = at + np.stack([sign * np.cos(angle), np.sin(angle)], 1) * stride[:, None]
        segments.extend(map(tuple, np.column_stack([at, to, wide]).tolist()))
        fork = rng.random(len(at)) < 0.36
        turn = rng.choice([-1.0, 1.0], len(at)) * rng.uniform(0.35, 0.8, len(at))
        thin = wide * np.where(fork, 0.82, 0.93)
        at = np.concatenate([to, to[fork]])
        angle = np.concatenate([angle - 0.3 * turn * fork, (angle + turn)[fork]])
        wide = np.concatenate([thin, thin[fork] * 0.75])
        keep = (wide > 0.06) & (np.abs(at[:, 0]) > 1.5)
        at, angle, wide = at[keep], angle[keep], wide[keep]
    return segments


def vessels(exam: Exam, chest: Anatomy, rng: np.random.Generator) -> Field:
    """Path length through hila and vessels as if they lay in lung of full depth, in cm."""
    size = chest.x.shape[1]
    scale = 2 * size / exam.field
    canvas = Image.new("L", (2 * size, 2 * size))
    draw = ImageDraw.Draw(canvas)
    middle = exam.field / 2 + exam.shift
    for side, sign in SIDES.items():
        segments = _grow(rng, chest.hila[side], sign)
        for x0, y0, x1, y1, diameter in reversed(segments):
            ends = [(middle + x0) * scale, y0 * scale, (middle + x1) * scale, y1 * scale]
            draw.line(ends, fill=min(255, int(255 * diameter / _FULL)), width=max(1, round(diameter * scale)))
    tree = np.asarray(canvas.reduce(2), np.float32) * np.float32(_FULL / 255)
    half = chest.x[::2, ::2], chest.y[::2]
    haze = np.zeros_like(half[0])
    for x0, y0 in chest.hila.values():
        haze += np.exp(-(((half[0] - x0) / 1.9) ** 2) - ((half[1] - y0) / 2.8) ** 2)
    return np.float32(2.8) * tree + np.float32(1.6) * enlarge(haze, size)


def texture(size: int, rng: np.random.Generator) -> Field:
    """Fine variation of lung density, mean 0, as a fraction of the depth."""
    cells = 200
    coarse = (
        smooth_noise(rng, cells, 24) + smooth_noise(rng, cells, 80) + rng.standard_normal((cells, cells), np.float32)
    )
    return np.float32(0.010) * enlarge(coarse, size)
