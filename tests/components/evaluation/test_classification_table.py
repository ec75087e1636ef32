# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of predictions and its file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radbundles.components.evaluation import PredictionTable


@pytest.fixture
def table() -> PredictionTable:
    random = np.random.default_rng(0)
    return PredictionTable(
        task="multilabel",
        classes=("edema", 'a "wide", heart'),
        ids=("one", "two, three", "four"),
        clusters=np.array([7, 3, 7]),
        logits=random.normal(size=(3, 2)),
        labels=np.array([[1, 0], [-1, 1], [0, 0]], dtype=np.int8),
        groups=({"sex": "F", "age": "0 to 17"}, {"sex": "M", "age": "not given"}, {"sex": "F", "age": "0 to 17"}),
    )


def test_file_gives_back_the_same_numbers(table: PredictionTable, tmp_path: Path) -> None:
    table.write(tmp_path / "new" / "predictions.csv")
    found = PredictionTable.read(tmp_path / "new" / "predictions.csv", "multilabel")
    assert found.ids == table.ids and found.classes == table.classes and found.groups == table.groups
    np.testing.assert_array_equal(found.logits, table.logits)
    np.testing.assert_array_equal(found.labels, table.labels)
    assert found.clusters.tolist() == [0, 1, 0], "patients are numbered in the order of the rows"


def test_hashed_ids_cannot_be_told_without_the_salt(table: PredictionTable) -> None:
    found = table.hashed("pepper")
    assert found.ids[0] == hashlib.sha256(b"pepper\0one").hexdigest()[:12] != hashlib.sha256(b"one").hexdigest()[:12]
    assert found.ids != table.hashed("salt").ids
    np.testing.assert_array_equal(found.logits, table.logits)


def test_rows_are_taken_with_all_that_belongs_to_them(table: PredictionTable) -> None:
    found = table.take(np.array([2, 0]))
    assert (
        found.ids == ("four", "one") and found.clusters.tolist() == [7, 7] and found.labels.tolist() == [[0, 0], [1, 0]]
    )


def test_choice_without_exactly_one_class_is_unknown_as_a_whole(table: PredictionTable) -> None:
    labels = np.array([[1, 0], [1, 1], [-1, 1]], dtype=np.int8)
    found = replace(table, task="multiclass", labels=labels).labels
    assert found.tolist() == [[1, 0], [-1, -1], [0, 1]]


def test_faults_are_named_by_sample_and_class(table: PredictionTable) -> None:
    logits, labels = table.logits.copy(), table.labels.copy()
    logits[1, 0], labels[2, 1] = np.nan, 2
    with pytest.raises(ValueError, match="id 'two, three': the logit of edema is not finite"):
        replace(table, logits=logits)
    with pytest.raises(ValueError, match="id 'four': the label of a .* is 2"):
        replace(table, labels=labels)
    with pytest.raises(ValueError, match="id 'one' occurs twice"):
        replace(table, ids=("one", "one", "two"))
    with pytest.raises(ValueError, match=r"must both be \[3, 1\]"):
        replace(table, classes=("edema",))
    with pytest.raises(ValueError, match="'segmentation'"):
        replace(table, task="segmentation")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 clusters"):
        replace(table, clusters=np.zeros(1, dtype=np.intp))


def test_files_of_another_kind_are_refused(table: PredictionTable, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,patient,logit a\n")
    with pytest.raises(ValueError, match="columns are id, patient, logit a"):
        PredictionTable.read(path, "multilabel")
    path.write_text("")
    with pytest.raises(ValueError, match="columns are missing"):
        PredictionTable.read(path, "multilabel")
    path.write_text("id,patient,logit a,label a\nx,0,1.5,1\ny,1,,0\n")
    with pytest.raises(ValueError, match="predictions.csv, row 3"):
        PredictionTable.read(path, "multilabel")
