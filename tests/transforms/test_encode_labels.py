# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest
import torch

from radbundles.transforms import EncodeLabelsd, label_table


def test_codes_are_added_and_the_item_is_kept() -> None:
    item: dict[Any, Any] = {"id": "a", "labels": {"effusion": 1, "Pneumonia": 0, "knee": 1}}
    sample = EncodeLabelsd("chexpert")(item)
    expected = torch.zeros(14)
    expected[8], expected[9], expected[11] = -1, 1, -1
    assert torch.equal(sample["image_labels"], expected) and sample["image_labels"].dtype == torch.float32
    assert sample["labels"] == item["labels"] and "image_labels" not in item


def test_item_without_labels_is_unknown_or_as_in_the_official_code_absent() -> None:
    assert EncodeLabelsd("chexpert")({"id": "a"})["image_labels"].tolist() == [0.0] * 14
    absent = EncodeLabelsd("chexpert", missing="absent")({"id": "a"})["image_labels"]
    assert absent.tolist() == [-1.0] * 8 + [1.0] + [-1.0] * 5


def test_minus_one_as_unknown_and_own_keys() -> None:
    encode = EncodeLabelsd(label_table("chexpert"), keys="marks", output_keys="codes", uncertain="unknown")
    assert encode({"marks": {"Edema": -1}})["codes"].tolist() == [0.0] * 14


def test_faulty_label_names_the_item() -> None:
    with pytest.raises(ValueError, match="item 'a': the label 'Edema'"):
        EncodeLabelsd("chexpert")({"id": "a", "labels": {"Edema": 3}})


def test_argument_out_of_range_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="'no'"):
        EncodeLabelsd("chexpert", missing="no")
