# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From path lengths to a displayed film: scatter, quantum noise, display curve, shutters, side marker."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from radbundles.components.phantom.anatomy import Field
from radbundles.components.phantom.patient import Exam, Patient

_ATTENUATION = np.float32(0.19)  # 1/cm, water at the mean energy of a 110 kV beam behind a grid
_STROKES: dict[str, list[list[tuple[float, float]]]] = {
    "L": [[(0, 0), (0, 1), (0.6, 1)]],
    "R": [[(0, 1), (0, 0), (0.45, 0), (0.6, 0.12), (0.6, 0.38), (0.45, 0.5), (0, 0.5)], [(0.25, 0.5), (0.62, 1)]],
}


def expose(length: Field, patient: Patient, exam: Exam, rng: np.random.Generator) -> Field:
    """Display values in [0, 1], bone bright, of water-equivalent path lengths in cm.

    The display curve depends on patient and exam alone, so that a finding never changes pixels it does not cover
    except through scatter.
    """
    size = length.shape[0]
    signal = np.exp(-_ATTENUATION * length)
    coarse = Image.fromarray(signal).resize((10, 10), Image.Resampling.BOX)
    veil = np.asarray(coarse.resize((size, size), Image.Resampling.BILINEAR))
    signal = (1 - np.float32(exam.scatter)) * signal + np.float32(exam.scatter) * np.minimum(veil, 0.35)
    quanta = np.float32(exam.dose * 1000 * (10 * exam.field / size) ** 2)
    noise = rng.standard_normal(signal.shape, np.float32) / np.sqrt(quanta * signal)
    seen = (-np.log(signal) + noise) * (1 / _ATTENUATION)
    middle = np.float32(0.47 * patient.thickness + 2.6 + exam.exposure)
    shown = 1 / (1 + np.exp((middle - seen) * np.float32(1 / exam.latitude)))
    floor = 1 / (1 + np.exp((middle - 1.0) / exam.latitude))
    return np.clip((shown - np.float32(floor)) * np.float32(0.985 / (1 - floor)), 0, 1)


def finish(image: Field, exam: Exam) -> Field:
    """Close the shutters and lay the lead marker on the film."""
    size = image.shape[0]
    scale = size / exam.field
    left, top, right, bottom = (round(strip * scale) for strip in exam.shutters)
    open_field = np.zeros_like(image)
    open_field[top : size - bottom, left : size - right] = 1
    image = image * open_field
    if exam.marker:
        canvas = Image.new("L", (2 * size, 2 * size))
        draw = ImageDraw.Draw(canvas)
        corner_x = exam.field - 3.4 if exam.marker == "L" else 2.6
        for stroke in _STROKES[exam.marker]:
            points = [((corner_x + u * 1.3) * 2 * scale, (2.6 + v * 1.3) * 2 * scale) for u, v in stroke]
            draw.line(points, fill=255, width=max(2, round(0.5 * scale)), joint="curve")
        image = np.maximum(image, np.asarray(canvas.reduce(2), np.float32) / 255)
    return image
