# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from radbundles.components.data.mixed_sampler import MixedSampler
from radbundles.components.data.seeded import SeededDataset


def sampler(**arguments: Any) -> MixedSampler:
    usual: dict[str, Any] = {"sizes": [7, 5, 30], "weights": [1, 1, 2], "batch_size": 4, "seed": 3}
    return MixedSampler(**{**usual, **arguments})


def sources(keys: list[int], sizes: list[int]) -> np.ndarray:
    """Which source each key is of."""
    return np.searchsorted(np.cumsum(sizes), np.asarray(keys) % sum(sizes), side="right")


def counts(batch: list[int], sizes: list[int]) -> list[int]:
    return np.bincount(sources(batch, sizes), minlength=len(sizes)).tolist()


def test_every_batch_mixes_the_sources_by_weight() -> None:
    keys = list(sampler(batches=20))
    assert len(keys) == 80
    for start in range(0, 80, 4):
        assert counts(keys[start : start + 4], [7, 5, 30]) == [1, 1, 2]


def test_what_a_batch_cannot_give_the_next_ones_do() -> None:
    """Shares of 0.3 and 0.7 make 1.2 and 2.8 of four: exact after ten samples, never off by one in between."""
    keys = list(sampler(sizes=[50, 60], weights=[0.3, 0.7], batches=25))
    chosen = sources(keys, [50, 60])
    assert (chosen == 0).sum() == 30
    drawn = np.cumsum(chosen == 0) - 0.3 * np.arange(1, 101)
    assert np.abs(drawn).max() < 1
    assert {int((chosen[start : start + 4] == 0).sum()) for start in range(0, 100, 4)} == {1, 2}


def test_shares_are_carried_over_epochs() -> None:
    """With one batch of two in an epoch, a source with a tenth of the weight still gets a tenth of the samples."""
    mixed = sampler(sizes=[5, 5], weights=[0.9, 0.1], batch_size=2, batches=1)
    keys = [key for _ in range(50) for key in mixed]
    assert counts(keys, [5, 5]) == [90, 10]


def test_a_source_is_gone_through_before_it_repeats() -> None:
    sizes = [7, 5, 30]
    mixed = sampler(batches=30)
    keys = [key for _ in range(3) for key in mixed]
    chosen = sources(keys, sizes)
    for source, size in enumerate(sizes):
        indices = (np.asarray(keys) % sum(sizes))[chosen == source]
        passes = [indices[start : start + size].tolist() for start in range(0, len(indices) - size + 1, size)]
        assert len(passes) >= 2
        assert all(sorted(one) == sorted(passes[0]) and len(set(one)) == size for one in passes)
        assert any(one != passes[0] for one in passes[1:])


def test_no_key_comes_twice_so_no_augmentation_does() -> None:
    mixed = sampler(sizes=[2, 90], weights=[1, 1], batches=40)
    keys = [key for _ in range(2) for key in mixed]
    assert len(set(keys)) == len(keys) == 320
    assert max(Counter(np.asarray(keys) % 92).values()) == 80


def test_any_batch_of_any_epoch_can_be_the_start() -> None:
    run = sampler(weights=[0.25, 0.31, 1], batches=9)
    epochs = [list(run) for _ in range(4)]
    resumed = sampler(weights=[0.25, 0.31, 1], batches=9)
    resumed.start(2, 5)
    assert list(resumed) == epochs[2][20:]
    assert list(resumed) == epochs[3]


def test_seeds_and_epochs_give_other_orders() -> None:
    mixed = sampler()
    first, second = list(mixed), list(mixed)
    assert first != second
    assert first == list(sampler()) != list(sampler(seed=4))


def test_processes_share_the_batches_and_each_mixes_all_sources() -> None:
    sizes = [11, 40]
    ranks = [list(sampler(sizes=sizes, weights=[1, 1], batches=5, num_replicas=2, rank=rank)) for rank in range(2)]
    for keys in ranks:
        assert [counts(keys[start : start + 4], sizes) for start in range(0, 20, 4)] == [[2, 2]] * 5
    single = list(sampler(sizes=sizes, weights=[1, 1], batches=5, batch_size=8))
    assert sorted(ranks[0] + ranks[1]) == sorted(single)
    assert ranks[0] + ranks[1] != sorted(ranks[0] + ranks[1])


def test_an_epoch_is_as_long_as_all_samples_fill() -> None:
    assert len(sampler()) == len(list(sampler())) == 40
    assert sampler().length == 42
    assert len(sampler(num_replicas=2)) == 20


def test_mappings_are_matched_by_name() -> None:
    weights = {"b": 3, "a": 1}
    named = sampler(sizes={"a": 10, "b": 20}, weights=weights)
    assert list(named) == list(sampler(sizes=[10, 20], weights=[1, 3]))


def test_weights_without_a_common_step_are_rounded_finely() -> None:
    keys = list(sampler(sizes=[100, 100, 100], weights=[1 / 3, 2**0.5, 1e-9], batch_size=100, batches=400))
    share = np.array(counts(keys, [100, 100, 100])) / len(keys)
    exact = np.array([1 / 3, 2**0.5, 0]) / (1 / 3 + 2**0.5)
    assert np.abs(share - exact).max() < 1e-4
    assert share[2] > 0  # the smallest share is not none


def test_samples_are_those_of_the_sources() -> None:
    data = [{"index": index} for index in range(42)]
    mixed = sampler()
    dataset = SeededDataset(data, lambda item: item["index"])
    batches = [batch.tolist() for batch in DataLoader(dataset, batch_size=4, sampler=mixed)]
    assert [counts(batch, [7, 5, 30]) for batch in batches] == [[1, 1, 2]] * 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": [1, 2]}, "a weight and at least one sample"),
        ({"sizes": [0, 1, 2]}, "a weight and at least one sample"),
        ({"sizes": {"a": 1}}, "two lists or two mappings"),
        ({"sizes": {"a": 1}, "weights": {"b": 1}}, "are of the sources"),
        ({"weights": [1, 0, 1]}, "above 0"),
        ({"weights": [1, -1, 1]}, "above 0"),
        ({"weights": [1, float("inf"), 1]}, "above 0"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 43}, "do not fill one batch of 43"),
        ({"batches": 0}, "do not fill"),
        ({"rank": 1}, "rank 1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sampler(**arguments)
