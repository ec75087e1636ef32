# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Patients and groups of samples, read from a datalist."""

from __future__ import annotations

from typing import Any

import pytest

from radbundles.components.evaluation import sample_facts, subgroup_rows


def item(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "image": f"{id}.png", **fields}


def test_images_of_one_patient_share_a_number_and_its_id_is_nowhere() -> None:
    facts = sample_facts([item("a", patient="MRN-77"), item("b", patient="MRN-78"), item("c", patient="MRN-77")])
    assert [facts[id].cluster for id in "abc"] == [0, 1, 0]
    assert "MRN" not in repr(facts)


def test_without_patient_the_study_counts_and_then_the_image() -> None:
    same = "x"  # a patient and a study of one name are not the same
    facts = sample_facts([item("a", study=same), item("b", study=same), item("c"), item("d", patient=same)])
    assert [facts[id].cluster for id in "abcd"] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("age", "band"),
    [(0, "0 to 17"), (17.9, "0 to 17"), (18, "18 to 39"), (74, "60 to 74"), (75, "75 and over"), (None, "not given")],
)
def test_age_is_told_in_bands(age: float | None, band: str) -> None:
    facts = sample_facts([item("a", age=age), item("b", age=50)], columns=["age"])
    assert facts["a"].groups == {"age": band}


def test_age_below_the_bands_has_one_of_its_own() -> None:
    assert sample_facts([item("a", age=20)], ["age"], age_bands=(40, 60))["a"].groups == {"age": "under 40"}


def test_metadata_are_columns_and_those_that_nobody_gives_are_left_out() -> None:
    items = [item("a", metadata={"site": 3, "portable": True}), item("b", metadata={"site": ""})]
    facts = sample_facts(items, ["sex", "metadata.site", "metadata.portable"])
    assert facts["a"].groups == {"metadata.site": "3", "metadata.portable": "True"}
    assert facts["b"].groups == {"metadata.site": "not given", "metadata.portable": "not given"}


@pytest.mark.parametrize("column", ["patient", "id", "study", "labels", "report", "metadata."])
def test_columns_that_tell_persons_apart_are_refused(column: str) -> None:
    with pytest.raises(ValueError, match=f"'{column}' tells no groups apart"):
        sample_facts([item("a")], [column])


def test_column_of_many_values_is_refused() -> None:
    with pytest.raises(ValueError, match="'metadata.accession' has 60 values, more than 50"):
        sample_facts([item(str(n), metadata={"accession": n}) for n in range(60)], ["metadata.accession"])


def test_value_that_is_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match="item 'a': metadata.devices is a list"):
        sample_facts([item("a", metadata={"devices": ["tube"]})], ["metadata.devices"])


def test_age_bands_must_ascend() -> None:
    with pytest.raises(ValueError, match=r"\[40, 18\]"):
        sample_facts([], age_bands=(40, 18))


def test_rows_of_subgroups_part_the_samples_in_a_readable_order() -> None:
    items = [item(str(n), age=age, sex="F") for n, age in enumerate([80, 5, None, 20, 81])]
    parts = subgroup_rows([facts.groups for facts in sample_facts(items, ["age", "sex"]).values()])
    assert list(parts) == ["age"], "a column of one value tells nothing apart"
    assert {name: rows.tolist() for name, rows in parts["age"].items()} == {
        "0 to 17": [1],
        "18 to 39": [3],
        "75 and over": [0, 4],
        "not given": [2],
    }
    assert list(parts["age"]) == ["0 to 17", "18 to 39", "75 and over", "not given"]
