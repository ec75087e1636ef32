# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masked-token accuracy against a plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from radbundles.components.metrics import EpochMean, MaskedTokenAccuracy, MaskedTokenCount

Output = dict[str, Any]
ValueOf = Callable[..., float]
RowsOf = Callable[[Output, slice], Output]


def count_by_hand(output: Output, subset: Any) -> tuple[int, int]:
    """Right and counted tokens, walking over the positions one by one."""
    batch, rows = output["image"], iter(output["pred"]["logits"].tolist())
    right = counted = 0
    for sample in range(len(batch["labels"])):
        for place in range(batch["labels"].shape[1]):
            if not batch["masked"][sample, place]:
                continue
            scores = next(rows)
            if subset == "entity" and not batch["entity"][sample, place]:
                continue
            counted += 1
            right += scores.index(max(scores)) == batch["labels"][sample, place].item()
    return right, counted


@pytest.mark.parametrize("subset", ["all", "entity"])
def test_agrees_with_a_plain_loop(output: Output, value_of: ValueOf, subset: Any) -> None:
    right, counted = count_by_hand(output, subset)
    assert 0 < right < counted
    assert value_of(MaskedTokenAccuracy(subset), output) == pytest.approx(right / counted)
    assert value_of(MaskedTokenCount(subset), output) == counted


def test_entities_are_fewer_than_all(output: Output, value_of: ValueOf) -> None:
    assert 0 < value_of(MaskedTokenCount("entity"), output) < value_of(MaskedTokenCount(), output)


def test_logits_at_all_positions_give_the_same(output: Output, value_of: ValueOf) -> None:
    expected = value_of(MaskedTokenAccuracy("entity"), output)
    masked = output["image"]["masked"]
    everywhere = torch.full((*masked.shape, 7), 5.0)
    everywhere[masked] = output["pred"]["logits"]
    output["pred"]["logits"] = everywhere
    assert value_of(MaskedTokenAccuracy("entity"), output) == expected


@pytest.mark.parametrize("kind", [MaskedTokenAccuracy, MaskedTokenCount])
def test_batch_split_changes_nothing(
    output: Output, value_of: ValueOf, rows_of: RowsOf, kind: Callable[..., EpochMean]
) -> None:
    parts = [rows_of(output, slice(0, 1)), rows_of(output, slice(1, 4)), rows_of(output, slice(4, 5))]
    assert value_of(kind("entity"), *parts) == value_of(kind("entity"), output)


def test_no_entity_in_the_epoch_gives_nan_and_count_zero(output: Output, value_of: ValueOf) -> None:
    output["image"]["entity"] = torch.zeros_like(output["image"]["entity"])
    assert math.isnan(value_of(MaskedTokenAccuracy("entity"), output))
    assert value_of(MaskedTokenCount("entity"), output) == 0
    assert not math.isnan(value_of(MaskedTokenAccuracy(), output))


def test_batch_without_masked_token_counts_nothing(output: Output, value_of: ValueOf) -> None:
    expected = value_of(MaskedTokenAccuracy(), output)
    empty = {"image": dict(output["image"]), "pred": {"logits": torch.zeros(0, 7)}}
    empty["image"]["masked"] = torch.zeros_like(output["image"]["masked"])
    assert value_of(MaskedTokenAccuracy(), output, empty) == expected


def test_reset_forgets(output: Output, value_of: ValueOf) -> None:
    metric = MaskedTokenCount()
    assert value_of(metric, output) == value_of(metric, output)


def test_logits_that_fit_no_position_are_named(output: Output, value_of: ValueOf) -> None:
    output["pred"]["logits"] = output["pred"]["logits"][:-1]
    with pytest.raises(ValueError, match=r"logits have shape .* tokens are masked in a batch of shape \(5, 12\)"):
        value_of(MaskedTokenAccuracy(), output)


def test_unknown_subset_is_named() -> None:
    with pytest.raises(ValueError, match="got 'entities'"):
        MaskedTokenAccuracy("entities")  # type: ignore[arg-type]
