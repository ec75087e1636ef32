# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The phantom itself: one procedural chest radiograph with everything that is known about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from radbundles.components.phantom import devices, lesions, skeleton
from radbundles.components.phantom.anatomy import LUNG_DENSITY, Anatomy, Field, Mask, build_anatomy
from radbundles.components.phantom.film import expose, finish
from radbundles.components.phantom.findings import IMPLIES, NAMES, Finding, draw_findings
from radbundles.components.phantom.lesions import Change
from radbundles.components.phantom.patient import Exam, Patient, draw_exam, draw_patient
from radbundles.components.phantom.vessels import texture, vessels

Box = list[int]
_DRAW: dict[str, Callable[[Anatomy, Finding, Exam, np.random.Generator], Change]] = {
    "atelectasis": lesions.atelectasis,
    "catheter": devices.catheter,
    "consolidation": lesions.airspace,
    "edema": lesions.edema,
    "effusion": lesions.effusion,
    "nodule": lesions.nodule,
    "opacity": lesions.airspace,
    "pacemaker": devices.pacemaker,
    "pneumothorax": lesions.pneumothorax,
    "tube": devices.tube,
}


@dataclass(frozen=True)
class Phantom:
    """A rendered film and its ground truth. "Left" is the patient's left, on the right of the picture.

    Args:
        image: display values ``[H, W]`` float32 in [0, 1], bone bright.
        masks: bool ``[H, W]`` of ``left lung``, ``right lung``, ``heart`` and each finding by label name. A lung is the
            whole lung field, also where fluid or air has taken its place.
        boxes: ``[x0, y0, x1, y1]`` in pixels, last two exclusive: one a lung, heart and instance of a finding.
        labels: for each of ``NAMES`` 1 present, -1 present but subtle, 0 absent.
        findings: what was drawn, and the boxes of each finding in the same order.
        patient: who.
        exam: how.
        attributes: plain scalars that describe the film.
    """

    image: Field
    masks: dict[str, Mask]
    boxes: dict[str, list[Box]]
    labels: dict[str, int]
    findings: list[tuple[Finding, list[Box]]]
    patient: Patient
    exam: Exam
    attributes: dict[str, str | int | float | bool | None]


def box_of(mask: Mask) -> list[Box]:
    """The tight box of a mask, as a list of one, or of none for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    return [[int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]]


def _labels(findings: Sequence[Finding]) -> dict[str, int]:
    labels = dict.fromkeys(NAMES, 0)
    for finding in findings:
        for name in (finding.name, IMPLIES.get(finding.name, finding.name)):
            labels[name] = 1 if labels[name] == 1 or not finding.subtle else -1
    return labels


def render_phantom(
    rng: np.random.Generator,
    size: int = 512,
    findings: Sequence[Finding] | None = None,
    *,
    patient: Patient | None = None,
) -> Phantom:
    """Render one frontal chest radiograph.

    Everything is computed as water-equivalent path lengths that are exposed once, so that overlapping structures add up
    as on a real film. Patient, exam, findings and noise have random streams of their own: the same generator state with
    other ``findings`` gives the same patient on the same film.

    Args:
        rng: random stream; it is advanced.
        size: pixels a side, at least 64.
        findings: what to draw; drawn at random if None, a normal film if empty.
        patient: who; drawn at random if None.

    Raises:
        ValueError: ``size`` is below 64.
    """
    if size < 64:
        raise ValueError(f"size must be at least 64 pixels, got {size}")
    who, how, what, where, grain = rng.spawn(5)
    patient = patient or draw_patient(who)
    exam = draw_exam(how)
    if findings is None:
        findings = draw_findings(what, portable=exam.view == "AP")
    enlarged = pushed = 0.0
    extra, push = where.uniform(0.08, 0.16), where.uniform(0.6, 1.6)
    for finding in findings:
        if finding.name == "cardiomegaly":
            # just above one half when subtle, clearly above otherwise
            enlarged = (0.515 if finding.subtle else 0.50 + extra) - patient.heart_ratio - 0.02 * (exam.view == "AP")
        elif finding.name == "effusion" and finding.size == "large":
            pushed = -push if finding.side == "left" else push
    chest = build_anatomy(patient, exam, size, enlarged=enlarged, pushed=pushed)
    masks: dict[str, Mask] = {f"{side} lung": mask for side, mask in chest.lungs.items()} | {"heart": chest.heart}
    boxes = {name: box_of(mask) for name, mask in masks.items()}

    aired = np.ones((1, 1), np.float32)  # share of the lung that still holds air
    tissue = np.ones((1, 1), np.float32)  # share of the lung tissue that is still there
    added = np.zeros((1, 1), np.float32)
    drawn: list[tuple[Finding, list[Box]]] = []
    streams = dict(zip(NAMES, where.spawn(len(NAMES)), strict=True))
    for finding in findings:
        if finding.name == "cardiomegaly":
            change = Change(mask=chest.heart)
        else:
            change = _DRAW[finding.name](chest, finding, exam, streams[finding.name])
        aired = aired if change.fill is None else aired * (1 - change.fill)
        tissue = tissue if change.empty is None else tissue * (1 - change.empty)
        added = added if change.added is None else added + change.added
        found = box_of(change.mask)
        drawn.append((finding, found))
        for name in {finding.name, IMPLIES.get(finding.name, finding.name)}:
            masks[name] = masks[name] | change.mask if name in masks else change.mask
            boxes[name] = boxes.get(name, []) + found

    detail = np.random.default_rng(patient.detail)
    bones = skeleton.ribs(patient, exam, chest, detail) + skeleton.spine(patient, exam, chest)
    bones += skeleton.clavicles(patient, exam, chest, detail) + skeleton.girdle(patient, exam, size, detail)
    length = chest.tissue + bones - skeleton.gas(patient, exam, chest, detail) + added
    length -= chest.depth * (1 - LUNG_DENSITY * tissue) * aired
    share = np.minimum(chest.depth * np.float32(1.6 / chest.full_depth), 1) * aired * tissue
    length += vessels(exam, chest, detail) * share + texture(size, detail) * chest.depth * aired * tissue
    image = finish(expose(np.maximum(length, 0), patient, exam, grain), exam)
    return Phantom(
        image=image.astype(np.float32),
        masks=masks,
        boxes=boxes,
        labels=_labels(findings),
        findings=drawn,
        patient=patient,
        exam=exam,
        attributes={
            "cardiothoracic ratio": round(chest.heart_ratio, 3),
            "field cm": round(exam.field, 2),
            "marker": exam.marker,
        },
    )
