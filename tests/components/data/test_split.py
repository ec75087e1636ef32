# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Patients stay on one side, whatever the order and the company."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbundles.components.data import PatientSplitter, SplitWarning

# First letters of the splits of p0 .. p29: published splits must stay what they are.
EXPECTED = "tttvttttttttttttttttttttvttttt"
PATIENT = st.text(min_size=1, max_size=6)


@given(st.lists(st.tuples(PATIENT, st.text(max_size=3)), max_size=30), st.integers(), st.randoms())
def test_split_depends_on_seed_and_patient_only(rows: list[tuple[str, str]], seed: int, random: object) -> None:
    items = [{"id": str(i), "patient": patient, "source": source} for i, (patient, source) in enumerate(rows)]
    first = {item["id"]: PatientSplitter(seed)(item) for item in items}
    splitter = PatientSplitter(seed)
    random.shuffle(items)  # type: ignore[attr-defined]
    assert {item["id"]: splitter(item) for item in items} == first
    sides: dict[str, set[str]] = {}
    for item in items:
        sides.setdefault(item["patient"], set()).add(first[item["id"]])
    assert all(len(side) == 1 for side in sides.values())


def test_fractions_are_met() -> None:
    splitter = PatientSplitter(1, (0.6, 0.3, 0.1))
    counts = Counter(splitter({"id": "x", "patient": str(i)}) for i in range(20000))
    assert counts["training"] / 20000 == pytest.approx(0.6, abs=0.015)
    assert counts["validation"] / 20000 == pytest.approx(0.3, abs=0.015)
    assert counts["test"] / 20000 == pytest.approx(0.1, abs=0.015)


def test_a_fraction_of_nothing_gets_nothing() -> None:
    splitter = PatientSplitter(0, (0.0, 1.0, 0.0))
    assert {splitter({"id": "x", "patient": str(i)}) for i in range(500)} == {"validation"}


def test_another_seed_is_another_split() -> None:
    one, two = PatientSplitter(0), PatientSplitter(1)
    items = [{"id": "x", "patient": str(i)} for i in range(300)]
    assert [one(item) for item in items] != [two(item) for item in items]


def test_the_split_never_changes_between_releases() -> None:
    splitter = PatientSplitter(0)
    assert "".join(splitter({"id": "x", "patient": f"p{i}"})[0] for i in range(30)) == EXPECTED


def test_items_without_patient_go_by_study_then_id_with_a_warning_each() -> None:
    splitter = PatientSplitter(3)
    with pytest.warns(SplitWarning, match="split by study"):
        first = splitter({"id": "a", "study": "s"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(splitter({"id": str(i), "study": "s"}) == first for i in range(50))
    with pytest.warns(SplitWarning, match="split by id"):
        splitter({"id": "a"})
    with pytest.raises(ValueError, match="needs a patient"):
        splitter({"image": "a"})


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.4, 0.2), (1.2, -0.1, -0.1), ()])
def test_wrong_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="fractions must"):
        PatientSplitter(0, fractions)
