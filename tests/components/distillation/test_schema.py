# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest

from radbundles.components.distillation import record_faults
from radbundles.components.distillation.schema import is_valid_output

REPORT = {"findings": "Small effusion."}


def entity(**changes: Any) -> dict[str, Any]:
    evidence = {"section": "findings", "start": 6, "end": 14}
    return {"entity": "effusion", "certainty": "present", "evidence": evidence, "descriptors": ["small"], **changes}


def record(**changes: Any) -> dict[str, Any]:
    output = {"text": "There is effusion.", "entities": [entity()]}
    return {"id": "a", "report_sha256": "0" * 64, **output, "backend": "rules", "version": "1", **changes}


def test_good_record_has_no_fault() -> None:
    assert record_faults(record()) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"id": ""}, "id: breaks 'minLength'"),
        ({"report_sha256": "secret"}, "report_sha256: breaks 'pattern'"),
        ({"secret": 1}, "record: breaks 'additionalProperties'"),
        ({"entities": [entity(certainty="secret")]}, "entities.0.certainty: breaks 'enum'"),
        ({"entities": [entity(secret=1)]}, "entities.0: breaks 'additionalProperties'"),
        ({"entities": [entity(descriptors=[""])]}, "entities.0.descriptors.0: breaks 'minLength'"),
    ],
)
def test_fault_names_the_field_and_hides_the_value(changes: dict[str, Any], fault: str) -> None:
    assert record_faults(record(**changes)) == [fault]


def test_missing_field_is_a_fault() -> None:
    incomplete = record()
    del incomplete["version"]
    assert record_faults(incomplete) == ["record: breaks 'required'"]


def test_good_output_is_accepted() -> None:
    assert is_valid_output({"text": "There is effusion.", "entities": [entity()]}, REPORT)
    assert is_valid_output({"text": "", "entities": []}, {})


@pytest.mark.parametrize(
    "output",
    [
        None,
        {"text": ""},
        {"text": None, "entities": []},
        {"text": "", "entities": [], "more": 1},
        {"text": "", "entities": {}},
        {"text": "", "entities": ["effusion"]},
        {"text": "", "entities": [entity(entity="")]},
        {"text": "", "entities": [entity(certainty="sure")]},
        {"text": "", "entities": [entity(certainty=["present"])]},
        {"text": "", "entities": [entity(descriptors=[1])]},
        {"text": "", "entities": [entity(more=1)]},
        {"text": "", "entities": [entity(evidence={"section": "impression", "start": 0, "end": 1})]},
        {"text": "", "entities": [entity(evidence={"section": "findings", "start": 0, "end": 99})]},
        {"text": "", "entities": [entity(evidence={"section": "findings", "start": 5, "end": 5})]},
        {"text": "", "entities": [entity(evidence={"section": "findings", "start": False, "end": True})]},
    ],
)
def test_output_of_wrong_form_is_refused(output: object) -> None:
    assert not is_valid_output(output, REPORT)
