# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is on the film and how it was taken: the scalars everything else of the phantom is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Patient:
    """What stays the same between two studies of one patient; lengths in cm.

    Args:
        sex: ``"F"`` or ``"M"``.
        age: years.
        half_width: greatest half width of the inner rib cage.
        height: length of the right lung from apex to dome at full inspiration.
        thickness: front-to-back thickness of the trunk.
        wall: soft tissue between rib cage and skin.
        breast: thickness of the breast shadow, 0 for none.
        heart_ratio: cardiothoracic ratio of the healthy heart on a PA film.
        curve: sideways bow of the spine.
        detail: seed of bones and vessels.
    """

    sex: str
    age: int
    half_width: float
    height: float
    thickness: float
    wall: float
    breast: float
    heart_ratio: float
    curve: float
    detail: int


@dataclass(frozen=True)
class Exam:
    """How one film was taken; lengths in cm.

    Args:
        view: ``"PA"`` (standing, full inspiration) or ``"AP"`` (portable, shallower, larger heart).
        field: side of the square detector.
        inspiration: lung length as a fraction of full inspiration.
        apex: distance of the lung apices from the upper edge.
        shift: offset of the spine from the middle, positive to the right of the picture.
        rotation: offset of the front of the chest against the spine.
        tilt: sideways lean, cm per cm.
        arms: how far the shoulders are drawn up.
        exposure: shift of the display curve, cm of water.
        latitude: width of the display curve, cm of water.
        dose: detected quanta a square millimeter behind nothing, in thousands.
        scatter: scattered share of the signal.
        shutters: collimated strips (left, top, right, bottom).
        marker: ``"L"``, ``"R"`` or ``""``.
    """

    view: str
    field: float
    inspiration: float
    apex: float
    shift: float
    rotation: float
    tilt: float
    arms: float
    exposure: float
    latitude: float
    dose: float
    scatter: float
    shutters: tuple[float, float, float, float]
    marker: str


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient: adults of 18 to 94 years."""
    sex = str(rng.choice(["F", "M"]))
    scale = (0.94 if sex == "F" else 1.03) * float(np.clip(rng.normal(1.0, 0.045), 0.88, 1.12))
    build = float(np.clip(rng.normal(0.0, 1.0), -1.6, 2.4))
    return Patient(
        sex=sex,
        age=int(np.clip(rng.normal(56, 19), 18, 94)),
        half_width=13.3 * scale + 0.25 * build,
        height=22.6 * scale * float(rng.uniform(0.95, 1.05)),
        thickness=20.5 * scale + 1.5 * build,
        wall=float(2.1 + 0.55 * build + rng.uniform(-0.2, 0.3)),
        breast=float(np.clip(2.4 + 0.8 * build + rng.normal(0, 0.5), 0.9, 5.0)) if sex == "F" else 0.0,
        heart_ratio=float(np.clip(rng.normal(0.435, 0.025), 0.37, 0.475)),
        curve=float(np.clip(rng.normal(0, 0.35), -1.2, 1.2)),
        detail=int(rng.integers(2**32)),
    )


def draw_exam(rng: np.random.Generator) -> Exam:
    """Draw the way one film is taken: three PA films for every two AP films."""
    portable = bool(rng.random() < 0.4)
    shutters = rng.uniform(0.2, 2.2, 4) * (rng.random(4) < 0.18)
    return Exam(
        view="AP" if portable else "PA",
        field=float(rng.uniform(34.0, 38.5)),
        inspiration=float(rng.uniform(0.80, 0.93) if portable else rng.uniform(0.93, 1.05)),
        apex=float(rng.uniform(2.6, 5.0)),
        shift=float(rng.normal(0, 1.0 if portable else 0.5)),
        rotation=float(np.clip(rng.normal(0, 0.8 if portable else 0.35), -2, 2)),
        tilt=float(np.clip(rng.normal(0, 0.02 if portable else 0.008), -0.05, 0.05)),
        arms=float(rng.uniform(-0.5, 2.0)),
        exposure=float(rng.normal(0, 0.6)),
        latitude=float(rng.uniform(3.2, 4.4) if portable else rng.uniform(2.7, 4.2)),
        dose=float(rng.uniform(2.0, 6.0) if portable else rng.uniform(5.0, 14.0)),
        scatter=float(rng.uniform(0.12, 0.3) if portable else rng.uniform(0.04, 0.14)),
        shutters=(float(shutters[0]), float(shutters[1]), float(shutters[2]), float(shutters[3])),
        marker=str(rng.choice(["L", "R", ""], p=[0.45, 0.45, 0.1])),
    )
