# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Bones and gas of the phantom: ribs, spine, clavicles, shoulder girdle, trachea, stomach bubble."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from radbundles.components.phantom.anatomy import Anatomy, Field, enlarge, round_top, step
from radbundles.components.phantom.patient import Exam, Patient


def tube(distance: Field, *, cortex: float = 0.5) -> Field:
    """Path length through a hollow bone of radius 1 at ``distance`` from its axis: bright rims, paler middle."""
    d2 = np.minimum(distance * distance, 1)
    rim = np.minimum((1 - d2) * 5, 1)
    return rim * ((1 - cortex) + np.float32(1.3 * cortex) * d2 * d2)


def band(axis: Field, low: float, high: float) -> slice:
    """Indices of the sorted coordinates ``axis`` between two limits: structures are drawn only where they can be."""
    first, last = np.searchsorted(axis.ravel(), [low, high])
    return slice(int(first), int(last))


def ribs(patient: Patient, exam: Exam, chest: Anatomy, rng: np.random.Generator) -> Field:
    """All twelve pairs at once: a warped coordinate in which rib ``k`` is the line ``k``."""
    gap = patient.height / 10.2
    top = exam.apex - 0.35 * gap
    rows, wall = band(chest.y, top - 2, 99), patient.half_width + abs(patient.curve) + 1.5
    columns = band(chest.x[len(chest.x) // 2], -wall, wall)
    x, y = chest.x[rows, columns], chest.y[rows]
    xi = np.minimum(np.abs(x) / (chest.width[rows] + np.float32(0.5)), 1)
    fall = round_top(xi * xi)
    side = np.where(x > 0, np.int8(13), np.int8(0))
    pixel = np.float32(exam.field / x.shape[1])
    drop, reach, lift, end = rng.uniform((4.6, 5.0, 0.4, 0.36), (5.8, 6.6, 1.2, 0.46)).astype(np.float32)
    strength = np.tile(np.clip(1.6 - 0.09 * np.arange(13), 0.5, 1) * (np.arange(13) < 12), 2).astype(np.float32)
    total = np.zeros_like(x)
    for course, radius, ends in (
        (drop * (1 - fall) - 3 * lift * xi * (1 - xi), 0.64, step(np.abs(x) - np.float32(1.6), 0.5)),
        (drop + reach * fall, 0.76, np.float32(0.75) * step(xi - end, 0.13)),
    ):
        line = (y - course - np.float32(top)) * np.float32(1 / gap)
        number = np.clip(line + np.float32(0.5), 0, 12).astype(np.int8)
        bone = number + side
        jitter = rng.normal(0, 0.035, 26).astype(np.float32)
        # in cm across the rib, which is steeper than along it
        across = np.square(np.diff(line, axis=0, append=line[-1:]))
        across += np.square(np.diff(line, axis=1, append=line[:, -1:]))
        slope = np.sqrt(np.maximum(across, np.square(np.float32(0.3) * pixel))) * (np.float32(radius) / pixel)
        total += tube((line - number - jitter.take(bone)) / slope) * ends * strength.take(bone) * (line > -0.5)
    # toward the chest wall the ray runs along the rib
    total *= np.minimum(1 / (fall + np.float32(0.25)), np.float32(2.2)) * np.minimum((1 - xi) * 60, 1)
    out = np.zeros_like(chest.x)
    out[rows, columns] = total * np.float32(rng.uniform(1.6, 2.3))
    return out


def spine(patient: Patient, exam: Exam, chest: Anatomy) -> Field:
    """Vertebral bodies with discs, pedicles and spinous processes."""
    out = np.zeros_like(chest.x)
    columns = band(chest.x[0], -4.5, 4.5)
    x, y = chest.x[:, columns], chest.y
    pitch = patient.height / 10.2
    phase = ((y - exam.apex) / pitch) % 1 - np.float32(0.5)
    u = x / (1.45 + 0.022 * np.maximum(y - 4, 0) + 0.12 * np.cos(2 * np.pi * phase) ** 2)
    disc = 1 - np.float32(0.42) * step(np.abs(phase) - np.float32(0.40), 0.06)
    pedicles = np.exp(-(((np.abs(u) - np.float32(0.66)) / 0.2) ** 2)) * np.exp(-(((phase + 0.1) / 0.2) ** 2))
    process = np.exp(-((x / 0.3) ** 2)) * np.exp(-(((phase - 0.2) / 0.24) ** 2))
    rims = np.exp(-(((np.abs(u) - np.float32(0.95)) / 0.07) ** 2))
    u2 = u * u
    out[:, columns] = 3.0 * round_top(u2 * u2 * u2) * disc + 0.8 * pedicles + 0.9 * process + 0.5 * rims
    return out


def clavicles(patient: Patient, exam: Exam, chest: Anatomy, rng: np.random.Generator) -> Field:
    """Two S-shaped bones from the breastbone to the shoulders, which turn with the patient."""
    out = np.zeros_like(chest.x)
    high = exam.apex + 3.0 - exam.arms * 0.4 - (1.0 if exam.view == "AP" else 0.0)
    rows = band(chest.y, high - 5.5, high + 4)
    reach = patient.half_width + 1.8
    for sign in (-1, 1):
        t = (sign * (chest.x[rows] - np.float32(0.9 * exam.rotation)) - np.float32(1.9)) * np.float32(1 / reach)
        turn = np.float32(2 * np.pi) * np.clip(t, 0, 1)
        bend = np.float32(high + 1.1 + rng.normal(0, 0.25)) - np.float32(3.4) * t + np.float32(1.1) * np.sin(turn)
        slope = (np.float32(6.9) * np.cos(turn) - np.float32(3.4)) * np.float32(1 / reach)
        radius = 0.60 + 0.5 * np.maximum(1 - t * 6, 0) + 0.1 * t
        distance = (chest.y[rows] - bend) / (radius * np.sqrt(1 + slope * slope))
        out[rows] += tube(distance, cortex=0.45) * step(t, 0.03) * step(1 - t, 0.03)
    return out * np.float32(2.3)


def girdle(patient: Patient, exam: Exam, size: int, rng: np.random.Generator) -> Field:
    """Shoulder blades, joint and upper arm bones, drawn as polygons and softened."""
    half = size // 2
    scale = half / exam.field
    middle = exam.field / 2 + exam.shift
    canvas = Image.new("L", (half, half))
    draw = ImageDraw.Draw(canvas)
    edge = patient.half_width + (0.9 if exam.view == "PA" else -1.6) + rng.normal(0, 0.4)
    top = exam.apex + 1.4 - exam.arms * 0.6
    head = [(5.1 + 2.2 * np.cos(a), 2.1 + 2.3 * np.sin(a)) for a in np.linspace(0, 6.1, 24)]
    blade = [(-4.6, 1.0), (-2.8, -0.2), (2.6, 0.0), (3.2, 2.8), (0.4, 9.5), (-1.2, 13.0), (-2.4, 12.4), (-4.2, 6.5)]
    for sign in (-1, 1):

        def place(points: list[tuple[float, float]], sign: int = sign) -> list[tuple[float, float]]:
            return [((middle + sign * (edge + u)) * scale, (top + v) * scale) for u, v in points]

        draw.polygon(place(blade), fill=46)
        draw.line(place([(3.0, 2.2), (0.6, 9.2), (-1.3, 13.0)]), fill=110, width=max(1, round(0.55 * scale)))
        draw.polygon(place([(2.4, -1.0), (6.0, -1.8), (6.6, -0.4), (3.0, 0.6)]), fill=120)
        draw.polygon(place(head), fill=170)
        draw.polygon(place([(4.6, 3.4), (7.3, 2.6), (10.0, 14.0), (7.6, 14.6)]), fill=150)
    blurred = canvas.filter(ImageFilter.GaussianBlur(0.16 * scale))
    return enlarge(np.asarray(blurred, np.float32) * np.float32(3.4 / 255), size)


def gas(patient: Patient, exam: Exam, chest: Anatomy, rng: np.random.Generator) -> Field:
    """Length of air outside the lungs: trachea, main bronchi, stomach bubble, gut."""
    out = np.zeros_like(chest.x)
    columns = band(chest.x[0], -6, 6)
    carina = chest.hila["left"][1] - 1.6
    rows = band(chest.y, 0, carina + 5)
    x, y = chest.x[rows, columns], chest.y[rows]
    drift = 0.5 * exam.rotation + 0.25 * np.clip(y - exam.apex - 3, 0, 4) / 4
    radius = 0.95 if patient.sex == "M" else 0.8
    air = 2.4 * round_top(((x + drift) / radius) ** 2) * step(carina - y, 0.6)
    for side, slope in ((-1, 0.62), (1, 0.95)):
        u = side * (x + drift)
        line = (u - slope * (y - carina + 0.3)) * (1 / (0.6 * radius * (1 + slope * slope) ** 0.5))
        air += 1.4 * round_top(line * line) * step(y - carina, 0.4) * step(carina + 3 - y, 0.8)
    out[rows, columns] = air
    rows = band(chest.y, chest.base["right"] - 1, 99)
    x, y, dome = chest.x[rows], chest.y[rows], chest.dome[rows]
    if rng.random() < 0.75:
        cx, rx = rng.uniform(4.5, 7.5), rng.uniform(1.6, 3.6)
        cy, ry = chest.base["left"] + rng.uniform(1.6, 2.6), rng.uniform(1.2, 2.4)
        bubble = round_top(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        if exam.view == "PA":
            bubble *= step(cy + 0.4 * ry - y, 0.15)
        out[rows] += rng.uniform(5, 11) * bubble * step(y - dome - np.float32(0.5), 0.3)
    for _ in range(int(rng.integers(0, 4))):
        cx, cy, r = rng.uniform(-8, 10), chest.base["left"] + rng.uniform(4, 9), rng.uniform(0.8, 2.0)
        out[rows] += rng.uniform(1, 3) * round_top(((x - cx) / r) ** 2 + ((y - cy) / (0.7 * r)) ** 2) * (y > dome + 1)
    return out
