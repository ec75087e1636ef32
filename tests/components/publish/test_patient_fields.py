# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Documents that may tell of patients are found, and the finding does not repeat what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbundles.components.publish.patient_fields import find_patient_fields

UID = "1.2.840.113619.2.5.1762583153.215519.978957063.78"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("rows.csv", "file,Patient ID,score\na.png,p-77,0.5\n", "docs/rows.csv: the field 'Patient ID' may tell"),
        ("deep/x.json", '{"rows": [{"score": 1, "patient_id": "p-77"}]}', "docs/deep/x.json: the field 'patient_id'"),
        ("x.json", '{"report": "p-77 has a cough"}', "docs/x.json: the field 'report' may tell"),
        ("x.json", '[{"AccessionNumber": "p-77"}]', "docs/x.json: the field 'AccessionNumber' may tell"),
        ("notes.md", f"fine\n\nseen in {UID}, p-77\n", "docs/notes.md: line 3 holds an identifier of a DICOM object"),
        ("x.json", f'{{"images": ["{UID}"]}}', "docs/x.json: line 1 holds an identifier of a DICOM object"),
    ],
)
def test_fields_and_identifiers_are_found_and_not_repeated(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / "docs" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (found,) = find_patient_fields(tmp_path)
    assert found.startswith(told)
    assert "p-77" not in found and UID not in found


def test_counts_versions_and_addresses_are_none(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "evaluation.json").write_text('{"patients": 120, "study": "x", "samples": 3}')
    (tmp_path / "docs" / "x.md").write_text("Version 1.2.3.4, address 10.0.0.1, values 0.5.1, patient and report.\n")
    assert not list(find_patient_fields(tmp_path))


@pytest.mark.parametrize("name", ["dcxfm_dense", "dcxfm_pretrain", "ecamp_classification", "ecamp_detection"])
def test_own_bundles_have_none(repository: Path, name: str) -> None:
    assert not list(find_patient_fields(repository / "bundles" / name))
