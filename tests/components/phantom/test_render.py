# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The picture shows what its masks, boxes and labels say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from radbundles.components.phantom import NAMES, Finding, Phantom, draw_findings, draw_patient, render_phantom

DEVICES = {"catheter", "pacemaker", "tube"}
EXAMPLES = [
    Finding("atelectasis", side="left"),
    Finding("cardiomegaly"),
    Finding("catheter", side="right"),
    Finding("consolidation", side="right", zone="lower"),
    Finding("edema"),
    Finding("effusion", side="left", size="small"),
    Finding("effusion", side="right", size="moderate"),
    Finding("effusion", side="left", size="large"),
    Finding("nodule", side="left", zone="upper", millimeters=18),
    Finding("opacity", side="right", zone="middle"),
    Finding("pacemaker", side="left"),
    Finding("pneumothorax", side="right", size="small"),
    Finding("pneumothorax", side="left", size="large"),
    Finding("tube"),
]


def render(seed: int, findings: Sequence[Finding] | None = None, size: int = 160) -> Phantom:
    return render_phantom(np.random.default_rng(seed), size, findings)


def test_same_seed_gives_the_same_film() -> None:
    first, second = render(3), render(3)
    np.testing.assert_array_equal(first.image, second.image)
    assert first.boxes == second.boxes and first.labels == second.labels
    assert not np.array_equal(first.image, render(4).image)


@pytest.mark.parametrize("size", [64, 129, 300])
def test_any_size_gives_a_film_of_that_size(size: int) -> None:
    phantom = render(5, EXAMPLES, size)
    assert phantom.image.shape == (size, size) and phantom.image.dtype == np.float32
    assert 0 <= phantom.image.min() and phantom.image.max() <= 1
    assert all(mask.shape == (size, size) and mask.dtype == np.bool_ for mask in phantom.masks.values())


def test_size_changes_the_sampling_and_not_the_patient() -> None:
    small, large = render(6, EXAMPLES, 128), render(6, EXAMPLES, 256)
    for name, mask in small.masks.items():
        if name in ("left lung", "right lung", "heart", "effusion", "opacity"):
            enlarged = mask.repeat(2, 0).repeat(2, 1)
            both, either = enlarged & large.masks[name], enlarged | large.masks[name]
            assert both.sum() > 0.85 * either.sum(), name


FAINT = [
    replace(finding, subtle=True)
    for finding in EXAMPLES
    if finding.name not in DEVICES and finding.size in ("", "small")
]


@pytest.mark.parametrize(
    "finding", EXAMPLES + FAINT, ids=lambda finding: f"{finding.text}{' (subtle)' * finding.subtle}"
)
def test_finding_changes_the_pixels_of_its_mask(finding: Finding) -> None:
    for seed in range(3):
        twin, phantom = render(seed, []), render(seed, [finding])
        mask = phantom.masks[finding.name]
        if finding.name == "cardiomegaly":  # the heart is bright already; what counts is the lung that it newly covers
            mask = mask & ~twin.masks["heart"]
        assert mask.any()
        sign = -1 if finding.name == "pneumothorax" else 1
        change = sign * float((phantom.image - twin.image)[mask].mean())
        assert change > (0.002 if finding.subtle else 0.015), (seed, change)


def test_small_finding_leaves_the_rest_of_the_film_alone() -> None:
    nodule = Finding("nodule", side="right", zone="middle", millimeters=12)
    twin, phantom = render(8, []), render(8, [nodule])
    difference = np.abs(phantom.image - twin.image)
    assert difference[~phantom.masks["nodule"]].max() < 0.004  # scatter only
    assert difference[phantom.masks["nodule"]].max() > 0.05


def test_left_is_on_the_right_of_the_picture() -> None:
    for seed in range(5):
        phantom = render(seed, [Finding("effusion", side="left", size="moderate")])
        columns = {name: np.nonzero(mask)[1].mean() for name, mask in phantom.masks.items()}
        assert columns["left lung"] > columns["right lung"]
        assert columns["effusion"] > columns["heart"] > columns["right lung"]
        # the apex of the heart points to the patient's left
        x0, _, x1, _ = phantom.boxes["heart"][0]
        middle = (phantom.boxes["left lung"][0][0] + phantom.boxes["right lung"][0][2]) / 2
        assert x1 - middle > middle - x0


def test_sided_findings_lie_in_the_lung_of_their_side() -> None:
    for finding in EXAMPLES:
        if finding.side and finding.name not in ("catheter", "pacemaker"):
            phantom = render(11, [finding])
            mask = phantom.masks[finding.name]
            assert (mask & phantom.masks[f"{finding.side} lung"]).sum() > 0.9 * mask.sum(), finding


def test_zones_are_ordered_from_the_apex() -> None:
    heights = []
    for zone in ("upper", "middle", "lower"):
        phantom = render(12, [Finding("nodule", side="left", zone=zone, millimeters=14)])
        heights.append(phantom.boxes["nodule"][0][1])
    assert heights == sorted(heights)


def test_nodule_has_the_size_it_is_said_to_have() -> None:
    phantom = render(13, [Finding("nodule", side="left", zone="middle", millimeters=20)], size=512)
    x0, y0, x1, y1 = phantom.boxes["nodule"][0]
    spacing = 10 * phantom.exam.field / 512
    assert (x1 - x0) * spacing == pytest.approx(20, abs=2.5) and (y1 - y0) * spacing == pytest.approx(20, abs=2.5)


def test_boxes_are_tight_around_the_masks() -> None:
    for seed in range(12):
        phantom = render(seed)
        assert set(phantom.boxes) == set(phantom.masks)
        for name, mask in phantom.masks.items():
            covered = np.zeros_like(mask)
            for x0, y0, x1, y1 in phantom.boxes[name]:
                assert 0 <= x0 < x1 <= 160 and 0 <= y0 < y1 <= 160
                covered[y0:y1, x0:x1] = True
                part = mask[y0:y1, x0:x1]
                assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
            assert not (mask & ~covered).any(), name


def test_cardiothoracic_ratio_is_that_of_the_masks() -> None:
    for seed in range(6):
        for findings in ([], [Finding("cardiomegaly")]):
            phantom = render(seed, findings, size=224)
            heart = phantom.boxes["heart"][0]
            chest = phantom.boxes["left lung"][0][2] - phantom.boxes["right lung"][0][0]
            ratio = (heart[2] - heart[0]) / chest
            assert ratio == pytest.approx(phantom.attributes["cardiothoracic ratio"], abs=0.03)
            assert (ratio > 0.52) == bool(findings)


def test_labels_follow_from_the_findings() -> None:
    labels = render(0, [Finding("consolidation", side="left", zone="lower", subtle=True)]).labels
    assert labels == dict.fromkeys(NAMES, 0) | {"consolidation": -1, "opacity": -1}
    seen = [
        Finding("opacity", side="left", zone="upper"),
        Finding("consolidation", side="left", zone="lower", subtle=True),
    ]
    phantom = render(0, seen)
    assert phantom.labels["opacity"] == 1 and phantom.labels["consolidation"] == -1
    assert len(phantom.boxes["opacity"]) == 2 and len(phantom.boxes["consolidation"]) == 1
    assert (phantom.masks["opacity"] & phantom.masks["consolidation"]).sum() == phantom.masks["consolidation"].sum()


def test_every_finding_occurs_in_every_certainty() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_findings(rng, portable=number % 5 < 2) for number in range(300)]
    seen = {(finding.name, finding.subtle) for findings in drawn for finding in findings}
    assert seen == {(name, False) for name in NAMES} | {(name, True) for name in NAMES if name not in DEVICES}
    assert 45 <= sum(not findings for findings in drawn) <= 150
    assert {f.size for fs in drawn for f in fs if f.name == "effusion"} == {"small", "moderate", "large"}


def test_patient_keeps_bones_and_sex_between_films() -> None:
    patient = draw_patient(np.random.default_rng(1))
    first = render_phantom(np.random.default_rng(2), 128, [], patient=patient)
    second = render_phantom(np.random.default_rng(3), 128, [], patient=patient)
    assert first.patient is second.patient is patient
    assert first.exam != second.exam


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mass"}, "unknown finding 'mass'"),
        ({"name": "effusion", "size": "small"}, "side of effusion"),
        ({"name": "nodule", "side": "left", "zone": "upper", "millimeters": 90}, "got 90"),
        ({"name": "edema", "side": "left"}, "edema has no side"),
        ({"name": "tube", "subtle": True}, "never subtle"),
    ],
)
def test_impossible_findings_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Finding(**arguments)  # type: ignore[arg-type]


def test_tiny_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="got 32"):
        render(0, [], 32)
