# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A radiology report of a phantom: says only what is in the picture, in varying words, and knows what it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from radbundles.components.phantom.findings import DEVICES, NAMES, Finding
from radbundles.components.phantom.render import Phantom
from radbundles.components.phantom.sentences import (
    ABSENT,
    BOTH_SIDES,
    INDICATIONS,
    NO_ACUTE,
    NORMAL,
    NOUNS,
    PRESENT,
    UNCERTAIN,
)

_MENTIONED = 0.92  # share of the findings that the report speaks of
_NEGATED = {
    "atelectasis": 0.10,
    "cardiomegaly": 0.25,
    "catheter": 0.02,
    "consolidation": 0.55,
    "edema": 0.35,
    "effusion": 0.75,
    "nodule": 0.18,
    "opacity": 0.30,
    "pacemaker": 0.02,
    "pneumothorax": 0.75,
    "tube": 0.02,
}
# findings that may be called an opacity: beside one of them a report never denies opacity
_OPAQUE = ("atelectasis", "consolidation", "edema", "nodule", "opacity")
_LUNG = (*_OPAQUE, "pneumothorax")


@dataclass(frozen=True)
class Report:
    """Text of a report and the truth about it.

    Args:
        sections: text by section name; ``findings`` or ``impression`` may be missing, never both.
        reported: certainty by name, ``"present"``, ``"uncertain"`` or ``"absent"``, of each finding whose word stands
            in the findings or the impression. It agrees with the labels of the phantom: 1, -1 and 0.
        phrases: descriptions of the findings with their boxes, also of findings that the report does not mention.
    """

    sections: dict[str, str]
    reported: dict[str, str]
    phrases: list[dict[str, str | list[list[int]]]]


@dataclass(frozen=True)
class _Sentence:
    text: str
    says: dict[str, str]


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fill(template: str, finding: Finding) -> str:
    """Put the descriptors into a sentence; a field in capitals starts the sentence."""
    return template.format(
        side=finding.side,
        Side=finding.side.capitalize(),
        zone=finding.zone,
        size=finding.size,
        Size=finding.size.capitalize(),
        mm=finding.millimeters,
    )


def _gather(phantom: Phantom) -> list[tuple[Finding, list[list[int]], bool]]:
    """Findings, their boxes, and whether it stands for both sides, as equal effusions of both sides do."""
    gathered = [(finding, boxes, False) for finding, boxes in phantom.findings]
    effusions = [pair for pair in phantom.findings if pair[0].name == "effusion"]
    if len(effusions) == 2 and replace(effusions[0][0], side="left") == replace(effusions[1][0], side="left"):
        both = (effusions[0][0], effusions[0][1] + effusions[1][1], True)
        return [both, *(entry for entry in gathered if entry[0].name != "effusion")]
    return gathered


def _phrase(finding: Finding, both: bool) -> str:
    return f"{finding.size} bilateral pleural effusions" if both else finding.text


def _positive(finding: Finding, both: bool, rng: np.random.Generator) -> _Sentence:
    certainty = "uncertain" if finding.subtle else "present"
    if both:
        options = BOTH_SIDES[certainty]
    else:
        options = (UNCERTAIN if finding.subtle else PRESENT)[finding.name]
    return _Sentence(_fill(_pick(rng, options), finding), {finding.name: certainty})


def _negatives(phantom: Phantom, rng: np.random.Generator) -> list[_Sentence]:
    """Some of what is not there, one to three findings a sentence."""
    opaque = any(phantom.labels[name] for name in _OPAQUE)
    denied = [
        name
        for name in NAMES
        if not phantom.labels[name] and rng.random() < _NEGATED[name] and not (name == "opacity" and opaque)
    ]
    rng.shuffle(denied)
    sentences = []
    while denied:
        count = int(rng.integers(1, 4))
        group, denied = denied[:count], denied[count:]
        nouns = [_pick(rng, NOUNS[name]) for name in group]
        listed = nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])}{',' * (len(nouns) > 2)} or {nouns[-1]}"
        text = _capital(_pick(rng, ABSENT).format(list=listed))
        sentences.append(_Sentence(text, dict.fromkeys(group, "absent")))
    return sentences


def _normal(phantom: Phantom, rng: np.random.Generator) -> list[_Sentence]:
    """Statements about what looks as it should, in words that name no finding."""
    labels = phantom.labels
    shifted = any(finding.size == "large" and finding.name == "effusion" for finding, _ in phantom.findings)
    lungs_clear = not any(labels[name] for name in _LUNG)
    candidates = [
        (not labels["cardiomegaly"], 0.4, ("Heart size is normal.", "The heart is normal in size.")),
        (
            not labels["cardiomegaly"] and not shifted,
            0.4,
            (
                "The cardiomediastinal silhouette is within normal limits.",
                "Mediastinal contours are unremarkable.",
                "Cardiomediastinal contours are normal.",
            ),
        ),
        (lungs_clear, 0.6, ("The lungs are clear.", "Lungs are clear bilaterally.", "The lung fields are clear.")),
        (not labels["edema"], 0.25, ("Pulmonary vasculature is normal.", "The pulmonary vasculature is unremarkable.")),
        (
            True,
            0.4,
            (
                "No acute osseous abnormality.",
                "The visualized bony structures are intact.",
                "Osseous structures are unremarkable.",
                "The bones are intact.",
            ),
        ),
        (
            phantom.exam.inspiration < 0.87,
            0.6,
            ("Lung volumes are low.", "There is shallow inspiration.", "Low lung volumes."),
        ),
        (abs(phantom.exam.rotation) > 1.0, 0.5, ("The patient is rotated.", "There is patient rotation.")),
    ]
    # one draw for each candidate, so that the text of one does not depend on another
    drawn = [(rng.random() < chance, _pick(rng, options)) for _, chance, options in candidates]
    return [
        _Sentence(text, {}) for (holds, _, _), (said, text) in zip(candidates, drawn, strict=True) if holds and said
    ]


def _impression(
    phantom: Phantom, told: Sequence[tuple[Finding, list[list[int]], bool]], rng: np.random.Generator
) -> list[_Sentence]:
    if not phantom.findings:
        return [_Sentence(_pick(rng, NO_ACUTE + NORMAL), {})]
    if all(finding.name in DEVICES for finding, _ in phantom.findings):
        return [_Sentence(_pick(rng, NO_ACUTE), {})]
    lines = []
    for finding, _, both in told:
        text = _phrase(finding, both)
        if finding.subtle:
            text = _pick(rng, ("Possible {}.", "Questionable {}.", "{} cannot be excluded.")).format(text)
        else:
            text = _pick(rng, ("{}.", "Evidence of {}.")).format(text)
        lines.append(_Sentence(_capital(text), {finding.name: "uncertain" if finding.subtle else "present"}))
    return lines


def _numbered(sentences: Sequence[_Sentence], rng: np.random.Generator) -> str:
    if len(sentences) > 1 and rng.random() < 0.5:
        return " ".join(f"{number}. {sentence.text}" for number, sentence in enumerate(sentences, 1))
    return " ".join(sentence.text for sentence in sentences)


def write_report(phantom: Phantom, rng: np.random.Generator) -> Report:
    """Write the report of a phantom.

    A report may keep silent about a finding, but never contradicts the picture: what is subtle is worded as uncertain,
    what is clear as present, and only what is not there is denied.

    Args:
        phantom: what the report describes.
        rng: random stream; it is advanced.
    """
    gathered = _gather(phantom)
    told = [
        entry
        for entry in gathered
        # a faint finding beside a clear one of the same name goes without saying
        if phantom.labels[entry[0].name] == (-1 if entry[0].subtle else 1) and rng.random() < _MENTIONED
    ]
    body = [_positive(finding, both, rng) for finding, _, both in told]
    body += _negatives(phantom, rng) + _normal(phantom, rng)
    rng.shuffle(body)
    closing = _impression(phantom, told, rng)
    if closing and rng.random() < 0.08:
        body = []
    elif body and rng.random() < 0.12:
        closing = []
    if not body and not closing:
        body = [_Sentence("Frontal view of the chest was obtained.", {})]

    sections: dict[str, str] = {}
    if rng.random() < 0.7:
        person = "woman" if phantom.patient.sex == "F" else "man"
        indication = _pick(rng, INDICATIONS)
        sections["indication"] = indication.format(age=phantom.patient.age, person=person, Person=person.capitalize())
    if rng.random() < 0.3:
        sections["comparison"] = _pick(rng, ("None.", "None available."))
    if body:
        sections["findings"] = " ".join(sentence.text for sentence in body)
    if closing:
        sections["impression"] = _numbered(closing, rng)
    reported = {name: certainty for sentence in [*body, *closing] for name, certainty in sentence.says.items()}
    phrases: list[dict[str, str | list[list[int]]]] = [
        {"text": _phrase(finding, both), "boxes": boxes} for finding, boxes, both in gathered if boxes
    ]
    return Report(sections=sections, reported=dict(sorted(reported.items())), phrases=phrases)
