# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sections of a report as one text."""

from __future__ import annotations

from typing import Any

import pytest

from radbundles.transforms import ComposeReportd, compose_report

REPORT = {"indication": "Cough.", "impression": "No acute  process", "findings": "Lungs\nare clear. Heart normal."}


def test_takes_findings_then_impression_and_leaves_the_rest_out() -> None:
    assert compose_report(REPORT) == "Lungs are clear. Heart normal. No acute process."


def test_none_takes_every_section_in_the_order_of_the_report() -> None:
    assert compose_report(REPORT, None) == "Cough. No acute process. Lungs are clear. Heart normal."


def test_follows_the_given_order() -> None:
    assert compose_report(REPORT, ("impression", "indication")) == "No acute process. Cough."


@pytest.mark.parametrize("text", ["Is it clear?", "Clear!", "Clear."])
def test_adds_no_second_stop(text: str) -> None:
    assert compose_report({"text": text}) == text


def test_empty_and_missing_sections_are_passed_over() -> None:
    assert compose_report({"findings": " \n", "impression": None, "text": "Clear"}) == "Clear."


def test_dictionary_twin_keeps_the_item_and_adds_text() -> None:
    item: dict[Any, Any] = {"id": "a", "report": REPORT}
    assert ComposeReportd()(item) == {**item, "text": compose_report(REPORT)}
    assert "text" not in item


def test_empty_report_is_refused_with_its_id_and_without_its_text() -> None:
    with pytest.raises(ValueError, match="'case-7'.*findings, impression, text.*it has indication") as caught:
        ComposeReportd()({"id": "case-7", "report": {"indication": "Secret cough."}})
    assert "Secret" not in str(caught.value)


def test_sections_given_as_one_text_are_refused() -> None:
    with pytest.raises(ValueError, match="list of names"):
        ComposeReportd(sections="findings")


def test_missing_report_passes_only_when_allowed() -> None:
    with pytest.raises(KeyError):
        ComposeReportd()({"id": "a"})
    assert ComposeReportd(allow_missing_keys=True)({"id": "a"}) == {"id": "a"}
