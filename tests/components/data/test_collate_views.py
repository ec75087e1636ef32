# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of crops and a sentence -> batch."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor

from radbundles.components.data import collate_reports, collate_views


def sample(tokens: int, length: int = 32, **more: Any) -> dict[str, Any]:
    input_ids = torch.zeros(length, dtype=torch.int64)
    input_ids[:tokens] = torch.arange(1, tokens + 1)
    words = input_ids > 1
    words[tokens - 1] = False
    return {
        "id": f"case-{tokens}",
        "image": MetaTensor(torch.zeros(1, 9, 9)),
        "image_global": MetaTensor(torch.full((2, 3, 8, 8), float(tokens))),
        "image_local": torch.full((4, 3, 4, 4), float(tokens)),
        "image_crops": torch.zeros(6, 2, 3, dtype=torch.float64),
        "input_ids": input_ids,
        "attention_mask": (input_ids > 0).long(),
        "word_mask": words,
        "image_labels": np.array([1, 0, -1]),
        "text_labels": [0.0, 0.0, 1.0],
        "text": "Stays behind.",
        **more,
    }


def test_batch_holds_crops_sentence_and_labels() -> None:
    batch = collate_views()([sample(5), sample(9)])
    assert {key: (tuple(value.shape), value.dtype) for key, value in batch.items() if key != "id"} == {
        "image_global": ((2, 2, 3, 8, 8), torch.float32),
        "image_local": ((2, 4, 3, 4, 4), torch.float32),
        "image_labels": ((2, 3), torch.float32),
        "text_labels": ((2, 3), torch.float32),
        "input_ids": ((2, 16), torch.int64),
        "attention_mask": ((2, 16), torch.int64),
        "word_mask": ((2, 16), torch.bool),
    }
    assert batch["id"] == ["case-5", "case-9"]
    assert type(batch["image_global"]) is torch.Tensor
    assert batch["attention_mask"].sum(1).tolist() == [5, 9]
    assert batch["word_mask"].sum(1).tolist() == [3, 7]
    assert batch["image_global"][:, 0, 0, 0, 0].tolist() == [5, 9]
    assert batch["image_labels"][0].tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("options", "length"), [({"trim": False}, 32), ({"multiple": 1}, 9), ({"multiple": 10}, 10), ({}, 16)]
)
def test_sentences_are_trimmed_to_the_longest(options: dict[str, Any], length: int) -> None:
    batch = collate_views(**options)([sample(5), sample(9)])
    assert batch["input_ids"].shape == batch["word_mask"].shape == (2, length)
    assert batch["input_ids"].is_contiguous()


def test_batch_of_one_without_local_crops_and_words() -> None:
    lean = {key: value for key, value in sample(5).items() if key in ("id", "image_global")}
    batch = collate_views()([lean])
    assert set(batch) == {"id", "image_global"}
    assert batch["image_global"].shape == (1, 2, 3, 8, 8)


def test_extra_keys_are_stacked_and_others_stay_behind() -> None:
    batch = collate_views(extra=["image_crops"])([sample(5), sample(9)])
    assert batch["image_crops"].shape == (2, 6, 2, 3)
    assert batch["image_crops"].dtype == torch.float64
    assert {"text", "image"} & set(batch) == set()


def test_sample_that_differs_is_named() -> None:
    lacking = sample(9)
    del lacking["image_labels"]
    with pytest.raises(ValueError, match="'case-9' has no 'image_labels'"):
        collate_views()([sample(5), lacking])
    with pytest.raises(ValueError, match=r"'case-9': 'image_local' has the shape \(3, 3, 4, 4\)"):
        collate_views()([sample(5), sample(9, image_local=torch.zeros(3, 3, 4, 4))])
    with pytest.raises(ValueError, match="not 0"):
        collate_views(multiple=0)


def test_it_works_in_worker_processes_and_reports_keep_their_own_keys() -> None:
    collate = pickle.loads(pickle.dumps(collate_views()))
    (batch,) = DataLoader(Dataset([sample(5), sample(9)]), batch_size=2, collate_fn=collate, num_workers=1)
    assert batch["image_local"].shape == (2, 4, 3, 4, 4)
    assert set(collate_reports()([sample(5)])) == {"id", "image", "input_ids", "attention_mask"}
