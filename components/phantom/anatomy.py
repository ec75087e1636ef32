# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Soft tissue of the phantom: trunk, lungs, heart, diaphragm, as water-equivalent path lengths.

Every structure is a smooth function of position in centimeters, evaluated for all pixels at once. ``x`` grows to the
right of the picture, which is the patient's left; ``y`` grows downwards from the upper edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from radbundles.components.phantom.patient import Exam, Patient

Field: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]

LUNG_DENSITY = 0.24
SIDES = {"left": 1, "right": -1}


@dataclass(frozen=True)
class Anatomy:
    """The chest of one exam on the pixel grid; shapes ``[H, W]``, ``[H, 1]`` for ``y``, lengths in cm.

    Args:
        x: sideways distance from the spine, positive on the patient's left.
        y: distance from the upper edge.
        apex: ``y`` of the lung apices.
        base: ``y`` of the domes, by side.
        width: half width of the inner rib cage at each row, ``[H, 1]``.
        xi: ``|x| / width``: 0 at the spine, 1 at the chest wall.
        dome: ``y`` of the diaphragm over each pixel.
        depth: length of lung passed by the ray.
        full_depth: the greatest such length.
        tissue: length of everything else that is soft, as if the lungs were solid.
        lungs: the two lung fields by side, as a radiologist would outline them.
        heart: the heart.
        heart_ratio: cardiothoracic ratio.
        hila: ``(x, y)`` of the two hila by side.
    """

    x: Field
    y: Field
    apex: float
    base: dict[str, float]
    width: Field
    xi: Field
    dome: Field
    depth: Field
    full_depth: float
    tissue: Field
    lungs: dict[str, Mask]
    heart: Mask
    heart_ratio: float
    hila: dict[str, tuple[float, float]]


def step(value: Field, soft: float) -> Field:
    """Smooth step from 0 at ``-soft`` to 1 at ``soft``."""
    t = value * np.float32(0.5 / soft)
    t += np.float32(0.5)
    np.clip(t, 0, 1, out=t)
    return t * t * (3 - 2 * t)


def round_top(squared: Field) -> Field:
    """``sqrt(1 - squared)`` where that is real, else 0: the chord of a circle."""
    return np.sqrt(np.maximum(1 - squared, 0))


def enlarge(field: Field, size: int) -> Field:
    """Bilinear enlargement to ``size`` pixels a side."""
    return np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BILINEAR))


def grid(patient: Patient, exam: Exam, size: int) -> tuple[Field, Field]:
    """Pixel centers in cm: ``x`` from the spine ``[H, W]``, ``y`` from the upper edge ``[H, 1]``."""
    axis = ((np.arange(size) + 0.5) * (exam.field / size)).astype(np.float32)
    y, across = axis[:, None], axis[None, :] - np.float32(exam.field / 2)
    return across - midline(patient, exam, y), y


def midline(patient: Patient, exam: Exam, y: Field) -> Field:
    """Place of the spine against the middle of the film at height ``y``."""
    bow = patient.curve * np.sin(np.pi * (y - exam.apex) / patient.height)
    return np.asarray(exam.shift + bow + exam.tilt * (y - exam.field / 2), np.float32)


def trunk(patient: Patient, exam: Exam, size: int) -> Field:
    """Path length through trunk, neck, shoulders, upper arms and breasts."""
    x, y = grid(patient, exam, size)
    ax = np.abs(x)
    down = np.clip((y - exam.apex) / 12, 0, 1).astype(np.float32)
    skin = patient.half_width * (0.9 + 0.1 * down) + patient.wall
    thick = patient.thickness * (0.62 + 0.38 * down)
    girth = ax / skin
    body = thick * round_top(girth * girth * girth)
    body *= step(y - (exam.apex - 0.8 + np.maximum(ax - 6, 0) * 0.12), 1.2)
    neck = 5.6 + 0.25 * patient.wall
    column = 11.5 * round_top(np.square(ax * np.float32(1 / neck))) * step(exam.apex + 3 - y, 3.0)
    shoulder_top = exam.apex - 1.8 - exam.arms + 2.4 * np.sqrt(np.maximum(ax - neck, 0) / 6) + 0.02 * ax
    axilla = exam.apex + 10.5 - 0.5 * exam.arms + np.maximum(ax - skin, 0) * 1.6
    shoulder = np.clip((y - shoulder_top) / 3.5, 0, 1) * np.clip((axilla - y) / 5.5, 0, 1)
    shoulder = (11.5 + 0.6 * patient.wall) * np.sqrt(shoulder)
    total = np.maximum(np.maximum(body, column), shoulder)
    if patient.breast:
        # thickest towards the lower edge, which is a visible line
        radius, middle = 5.0 + 0.7 * patient.breast, exam.apex + 0.62 * patient.height
        r2 = ((ax - 0.60 * patient.half_width) / (radius * 1.15)) ** 2 + ((y - middle) / radius) ** 2
        total += patient.breast * round_top(r2) * (0.12 + 0.88 * step(y - (middle + 0.5), radius))
    return total


def mediastinum(patient: Patient, exam: Exam, y: Field, ratio: float, base: float) -> tuple[Field, Field, float]:
    """Borders of heart and great vessels at each row, as distances from the spine.

    Returns:
        left border ``[H, 1]``, right border ``[H, 1]``, and the height at which the heart begins.
    """
    height = patient.height * exam.inspiration
    span, arch, top = ratio * 2 * patient.half_width, exam.apex + 0.25 * height, exam.apex + 0.42 * height
    age = min(max((patient.age - 30) / 50, 0.0), 1.0)
    flare = 1.4 * np.clip((arch - y) / 5, 0, 1) ** 2
    s = np.maximum((y - top) / (base + 0.2 - top), 0)
    # left: aortic arch, pulmonary trunk, then the ventricle out to the apex of the heart
    knob = (0.9 + 0.8 * age) * np.exp(-(((y - arch) / 1.6) ** 2))
    artery = 0.6 * np.exp(-(((y - top) / 1.6) ** 2))
    reach = 0.665 * span - 2.4
    swell = np.minimum(s, 1)
    ventricle = reach * np.sin(0.5 * np.pi * swell**0.92) ** 1.15 * round_top((np.maximum(s - 0.8, 0) / 0.5) ** 2)
    left = 2.4 + flare + knob + artery + ventricle
    # right: superior vena cava, then the atrium
    atrium = (0.335 * span - 2.2) * np.sin(np.pi * np.clip(0.82 * s, 0, 1))
    right = 2.2 + flare + 0.3 * np.clip((y - arch) / 6, 0, 1) + atrium
    return left.astype(np.float32), right.astype(np.float32), top


def build_anatomy(patient: Patient, exam: Exam, size: int, *, enlarged: float = 0.0, pushed: float = 0.0) -> Anatomy:
    """Place all soft tissue.

    Args:
        patient: who.
        exam: how.
        size: pixels a side.
        enlarged: added cardiothoracic ratio.
        pushed: shift of the mediastinum, positive towards the patient's left.
    """
    x, y = grid(patient, exam, size)
    left, ax = x > 0, np.abs(x)
    height = patient.height * exam.inspiration
    widest = exam.apex + 0.66 * height
    rise = np.clip((widest - y) / (widest - exam.apex), 0, 1)
    width = patient.half_width * np.sqrt(np.clip(1 - rise**1.9, 1e-4, 1))
    width = (width - 0.012 * np.maximum(y - widest, 0) ** 2).astype(np.float32)
    xi = ax / width

    base = {"right": exam.apex + height, "left": exam.apex + height + 1.1}
    arc = (xi - np.float32(0.45)) * np.float32(1 / 0.55)
    outer = np.maximum(arc, 0)
    fall = 1.1 * arc * arc + 1.2 * outer * outer * outer
    dome = np.where(left, np.float32(base["left"]), np.float32(base["right"])) + fall

    ratio = patient.heart_ratio + (0.02 if exam.view == "AP" else 0.0) + enlarged
    left_border, right_border, heart_top = mediastinum(patient, exam, y, ratio, base["left"])
    drift = np.float32(0.6 * exam.rotation + pushed)
    silhouette = np.minimum(left_border + drift - x, right_border - drift + x)

    # the front part of the lung ends at the mediastinum, the part behind it runs on to the spine
    front = step(-silhouette, 0.14)
    behind = step(ax - np.float32(2.4), 1.1)
    full_depth = 0.72 * patient.thickness
    chord = np.sqrt(round_top(xi * xi)) * (full_depth * round_top(rise * rise)).astype(np.float32)
    above = step(dome - y, 0.18)
    recess = np.float32(0.15) * np.square(np.clip(1 - (y - dome) * np.float32(1 / 4.5), 0, 1))
    share = (0.68 * front + 0.32 * behind) * above + (1 - above) * recess * behind
    depth = chord * share

    field = (silhouette < 0) & (y < dome) & (xi < 1)
    # rounded off where it has no visible border: at the great vessels and on the diaphragm
    bottom, reach = base["left"] + 0.6, ratio * patient.half_width
    across = np.square((x - np.float32(drift + 0.33 * reach)) * np.float32(1 / reach))
    along = np.square((y - np.float32(0.5 * (heart_top + bottom))) * np.float32(2 / (bottom - heart_top)))
    heart = (silhouette > 0) & (across * across + along * along < 1.3) & (along < 1)
    tissue = enlarge(trunk(patient, exam, size // 2), size)
    return Anatomy(
        x=x,
        y=y,
        apex=exam.apex,
        base=base,
        width=width,
        xi=xi,
        dome=dome,
        depth=depth,
        full_depth=full_depth,
        tissue=tissue,
        lungs={"left": field & left, "right": field & ~left},
        heart=heart,
        heart_ratio=ratio,
        hila={
            "left": (3.3 + float(drift), exam.apex + 0.42 * height),
            "right": (-3.2 + float(drift), exam.apex + 0.46 * height),
        },
    )
