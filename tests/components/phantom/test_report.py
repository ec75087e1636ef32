# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Reports say what is in the picture, and what they say is known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from radbundles.components.phantom import NAMES, Finding, Phantom, Report, render_phantom, write_report
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

DEVICES = {"catheter", "pacemaker", "tube"}
SIGN = {"present": 1, "uncertain": -1, "absent": 0}
WORD = {name: re.compile(rf"\b{name}s?\b", re.IGNORECASE) for name in NAMES} | {
    "opacity": re.compile(r"\bopacit(y|ies)\b", re.IGNORECASE)
}


def words_of(text: str) -> set[str]:
    return {name for name, word in WORD.items() if word.search(text)}


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Phantom, Report]]:
    """150 phantoms with two reports each."""
    rng = np.random.default_rng(7)
    phantoms = [render_phantom(rng, 64) for _ in range(150)]
    return [(phantom, write_report(phantom, rng)) for phantom in phantoms for _ in range(2)]


def test_every_sentence_names_its_finding_and_no_other() -> None:
    for table in (PRESENT, UNCERTAIN, NOUNS):
        for name, options in table.items():
            for text in options:
                assert words_of(text) == {name}, text
    for options in BOTH_SIDES.values():
        assert all(words_of(text) == {"effusion"} for text in options)
    for text in (*ABSENT, *INDICATIONS, *NO_ACUTE, *NORMAL):
        assert not words_of(text), text


def test_every_finding_has_six_wordings() -> None:
    assert set(PRESENT) == set(NOUNS) == set(NAMES)
    assert set(UNCERTAIN) == set(NAMES) - DEVICES
    for options in (*PRESENT.values(), *UNCERTAIN.values(), *BOTH_SIDES.values(), ABSENT):
        assert len(set(options)) >= 6


def test_reports_never_contradict_the_picture(pairs: list[tuple[Phantom, Report]]) -> None:
    for phantom, report in pairs:
        for name, certainty in report.reported.items():
            assert phantom.labels[name] == SIGN[certainty], (name, report.sections)


def test_reported_is_what_the_words_say(pairs: list[tuple[Phantom, Report]]) -> None:
    for _, report in pairs:
        text = " ".join(report.sections.get(key, "") for key in ("findings", "impression"))
        assert words_of(text) == set(report.reported), text
        for sentence in re.split(r"\. ", text):
            denied = re.search(r"^(no|there is no|negative|the chest is without)\b", sentence, re.IGNORECASE)
            for name in words_of(sentence):
                assert (report.reported[name] == "absent") == bool(denied), sentence


def test_every_certainty_is_reported(pairs: list[tuple[Phantom, Report]]) -> None:
    said = {(name, certainty) for _, report in pairs for name, certainty in report.reported.items()}
    positive = {(name, "present") for name in NAMES} | {(name, "uncertain") for name in set(NAMES) - DEVICES}
    assert positive <= said
    assert {(name, "absent") for name in set(NAMES) - DEVICES} <= said


def test_some_findings_are_left_out(pairs: list[tuple[Phantom, Report]]) -> None:
    silent = sum(finding.name not in report.reported for phantom, report in pairs for finding, _ in phantom.findings)
    total = sum(len(phantom.findings) for phantom, _ in pairs)
    assert 0.03 < silent / total < 0.2


def test_reports_vary_and_have_something_to_say(pairs: list[tuple[Phantom, Report]]) -> None:
    texts = [tuple(report.sections.items()) for _, report in pairs]
    assert len(set(texts)) > 280
    assert all({"findings", "impression"} & set(report.sections) for _, report in pairs)
    assert all(text.strip() and "{" not in text for _, report in pairs for text in report.sections.values())


def test_lungs_with_a_lesion_are_never_clear(pairs: list[tuple[Phantom, Report]]) -> None:
    lesions = ("atelectasis", "consolidation", "edema", "nodule", "opacity", "pneumothorax")
    clear = 0
    for phantom, report in pairs:
        if re.search(r"lungs? (fields )?are clear", " ".join(report.sections.values()), re.IGNORECASE):
            clear += 1
            assert not any(phantom.labels[name] for name in lesions)
    assert clear > 20


def test_equal_effusions_of_both_sides_are_one_phrase() -> None:
    both = [Finding("effusion", side=side, size="moderate") for side in ("left", "right")]
    phantom = render_phantom(np.random.default_rng(0), 128, both)
    phrases = write_report(phantom, np.random.default_rng(0)).phrases
    assert phrases == [{"text": "moderate bilateral pleural effusions", "boxes": phantom.boxes["effusion"]}]
    unequal = [both[0], Finding("effusion", side="right", size="small")]
    phantom = render_phantom(np.random.default_rng(0), 128, unequal)
    phrases = write_report(phantom, np.random.default_rng(0)).phrases
    assert [phrase["text"] for phrase in phrases] == ["moderate left pleural effusion", "small right pleural effusion"]


def test_faint_finding_beside_a_clear_one_goes_unsaid() -> None:
    findings = [
        Finding("consolidation", side="left", zone="lower"),
        Finding("opacity", side="right", zone="upper", subtle=True),
    ]
    phantom = render_phantom(np.random.default_rng(0), 64, findings)
    assert phantom.labels["opacity"] == 1
    for seed in range(20):
        assert "opacity" not in write_report(phantom, np.random.default_rng(seed)).reported


def test_rule_distiller_reads_the_reports(pairs: list[tuple[Phantom, Report]]) -> None:
    distillation = pytest.importorskip("radbundles.components.distillation")
    distiller = distillation.RuleDistiller(entities="chest")
    right = total = 0
    for _, report in pairs:
        found = {entry["entity"]: entry["certainty"] for entry in distiller.distill(report.sections)["entities"]}
        for name, certainty in report.reported.items():
            if name not in ("pacemaker", "tube"):  # no entities of the list
                total += 1
                right += found.get(name) == certainty
    assert total > 500 and right / total > 0.95
