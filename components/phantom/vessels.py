# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Lung texture of the phantom: hila, a branching vessel tree, fine interstitial noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from radbundles.components.phantom.anatomy import SIDES, Anatomy, Field, enlarge
from radbundles.components.phantom.patient import Exam


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Unit-variance noise with ``cells`` cells a side, enlarged to ``size``: the same pattern at every size."""
    small = Image.fromarray(rng.standard_normal((cells, cells), np.float32))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))


def _grow(rng: np.random.Generator, start: tuple[float, float], sign: int) -> npt.NDArray[np.float64]:
    """Segments ``(x, y, dx, dy, diameter)`` in cm of one lung's tree, ``[N, 5]``, all branches a step at a time."""
    count = 13
    angle = np.linspace(-1.45, 1.5, count) + rng.normal(0, 0.12, count)
    at = np.tile(np.asarray(start), (count, 1)) + rng.normal(0, 0.5, (count, 2))
    wide = rng.uniform(0.30, 0.62, count)
    segments = []
    for _ in range(14):
        stride = rng.uniform(0.7, 1.25, len(at))
        angle = angle + rng.normal(0, 0.16, len(at))
        move = np.stack([sign * np.cos(angle), np.sin(angle)], 1) * stride[:, None]
        segments.append(np.column_stack([at, move, wide]))
        fork = rng.random(len(at)) < 0.36
        turn = rng.choice([-1.0, 1.0], len(at)) * rng.uniform(0.35, 0.8, len(at))
        thin = wide * np.where(fork, 0.82, 0.93)
        at = np.concatenate([at + move, (at + move)[fork]])
        angle = np.concatenate([angle - 0.3 * turn * fork, (angle + turn)[fork]])
        wide = np.concatenate([thin, thin[fork] * 0.75])
        keep = (wide > 0.06) & (np.abs(at[:, 0]) > 1.5)
        at, angle, wide = at[keep], angle[keep], wide[keep]
    return np.concatenate(segments)


def _splat(segments: npt.NDArray[np.float64], cells: int, cell: float) -> Field:
    """Tubes as path length on a coarse grid: every tube spread over the cells that its points fall between."""
    count = int(np.ceil(1.25 / cell))
    t = (np.arange(count) + 0.5) / count
    x, y = ((segments[:, axis, None] + segments[:, axis + 2, None] * t) / cell - 0.5 for axis in (0, 1))
    length = np.hypot(segments[:, 2], segments[:, 3]) / count
    # tubes of 4 mm keep their volume; finer ones are drawn denser than they are, as display processing does
    volume = np.repeat(0.5 * segments[:, 4] ** 1.5 * length / cell**2, count)
    column, row = np.floor(x).astype(np.int64).ravel(), np.floor(y).astype(np.int64).ravel()
    u, v = x.ravel() - column, y.ravel() - row
    total = np.zeros((cells + 2) ** 2)
    for down, right, share in ((0, 0, (1 - u) * (1 - v)), (0, 1, u * (1 - v)), (1, 0, (1 - u) * v), (1, 1, u * v)):
        place = np.clip(row + down + 1, 0, cells + 1) * (cells + 2) + np.clip(column + right + 1, 0, cells + 1)
        total += np.bincount(place, share * volume, minlength=len(total))
    return total.reshape(cells + 2, cells + 2)[1:-1, 1:-1].astype(np.float32)


def vessels(exam: Exam, chest: Anatomy, rng: np.random.Generator) -> Field:
    """Path length through hila and vessels as if they lay in lung of full depth, in cm."""
    size = chest.x.shape[1]
    pixel = exam.field / size
    segments = np.concatenate([_grow(rng, chest.hila[side], sign) for side, sign in SIDES.items()])
    segments[:, 0] += exam.field / 2 + exam.shift
    # each vessel on a grid about as coarse as it is wide, which gives it its width; the coarser grids hold half and a
    # quarter of the pixels
    level = np.clip(np.floor(np.log2(segments[:, 4] / pixel)), 0, 2)
    x, y = chest.x[::2, ::2], chest.y[::2]
    half, quarter = len(y), max(size // 4, 1)
    wide = enlarge(_splat(segments[level == 2], quarter, exam.field / quarter), half)
    wide = wide + _splat(segments[level == 1], half, exam.field / half)
    haze = np.zeros_like(x)
    for x0, y0 in chest.hila.values():
        haze += np.exp(-np.square((x - np.float32(x0)) / 1.9) - np.square((y - np.float32(y0)) / 2.8))
    soft = enlarge(np.float32(2.8) * wide + np.float32(1.6) * haze, size)
    return soft + np.float32(2.8) * _splat(segments[level == 0], size, pixel)


def texture(size: int, rng: np.random.Generator) -> Field:
    """Fine variation of lung density, mean 0, as a fraction of the depth."""
    cells = 200
    coarse = (
        smooth_noise(rng, cells, 24) + smooth_noise(rng, cells, 80) + rng.standard_normal((cells, cells), np.float32)
    )
    return np.float32(0.010) * enlarge(coarse, size)
