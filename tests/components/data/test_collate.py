# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples -> batch."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from radbundles.components.data.collate import REPORT_KEYS, collate_reports


def sample(tokens: int, length: int = 32, **more: Any) -> dict[str, Any]:
    labels = torch.zeros(length, dtype=torch.int64)
    labels[:tokens] = torch.arange(1, tokens + 1)
    return {
        "id": f"case-{tokens}",
        "image": MetaTensor(torch.full((3, 4, 4), float(tokens))),
        "window": np.array([0.0, 0.1, 0.8, 0.9]),
        "labels": labels,
        "input_ids": labels.clone(),
        "attention_mask": (labels > 0).long(),
        "token_weights": (labels > 0).float(),
        "masked": labels == 2,
        "entity": labels == 3,
        "text": "Stays behind.",
        **more,
    }


def test_reports_are_cut_to_the_longest_of_the_batch_rounded_up() -> None:
    batch = collate_reports()([sample(5), sample(9)])
    assert {key: tuple(batch[key].shape) for key in REPORT_KEYS} == dict.fromkeys(REPORT_KEYS, (2, 16))
    assert batch["attention_mask"].sum(1).tolist() == [5, 9]
    assert batch["labels"][1, :9].tolist() == [*range(1, 10)]
    assert all(batch[key].is_contiguous() for key in REPORT_KEYS)


@pytest.mark.parametrize(("tokens", "multiple", "length"), [(16, 8, 16), (17, 8, 24), (31, 10, 32), (5, 1, 5)])
def test_length_is_a_multiple_up_to_the_padded_length(tokens: int, multiple: int, length: int) -> None:
    assert collate_reports(multiple=multiple)([sample(tokens)])["labels"].shape == (1, length)


def test_untrimmed_reports_keep_their_length() -> None:
    assert collate_reports(trim=False)([sample(5), sample(9)])["input_ids"].shape == (2, 32)


def test_batch_of_one_keeps_its_axis_and_tensors_are_plain() -> None:
    batch = collate_reports()([sample(5)])
    assert batch["image"].shape == (1, 3, 4, 4)
    assert type(batch["image"]) is torch.Tensor
    assert batch["window"].shape == (1, 4)
    assert batch["window"].dtype == batch["image"].dtype == torch.float32
    assert batch["masked"].dtype == torch.bool


def test_ids_are_a_list_and_other_keys_stay_behind() -> None:
    batch = collate_reports()([sample(5), sample(9)])
    assert batch["id"] == ["case-5", "case-9"]
    assert set(batch) == {"id", "image", "window", *REPORT_KEYS}


def test_samples_without_report_or_window_make_a_batch() -> None:
    batch = collate_reports()([{"image": torch.zeros(3, 4, 4)}, {"image": torch.ones(3, 4, 4)}])
    assert {key: tuple(value.shape) for key, value in batch.items()} == {"image": (2, 3, 4, 4)}


def test_sample_that_lacks_a_key_is_named() -> None:
    lacking = sample(9)
    del lacking["window"]
    with pytest.raises(ValueError, match="'case-9' has no 'window'"):
        collate_reports()([sample(5), lacking])


def test_sample_of_another_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"'case-9'.*'image'.*\(3, 5, 5\).*\(3, 4, 4\)"):
        collate_reports()([sample(5), sample(9, image=torch.zeros(3, 5, 5))])


def test_function_travels_to_worker_processes() -> None:
    collate = pickle.loads(pickle.dumps(collate_reports(trim=False)))
    assert collate([sample(5)])["labels"].shape == (1, 32)


def test_multiple_must_be_positive() -> None:
    with pytest.raises(ValueError, match="not 0"):
        collate_reports(multiple=0)
