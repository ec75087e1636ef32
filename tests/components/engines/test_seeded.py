# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.transforms import Compose, RandomizableTransform
from torch.utils.data import DataLoader

from radbundles.components.data.seeded import EpochSampler, SeededDataset


class Draw(RandomizableTransform):
    def __call__(self, data: dict[str, Any]) -> torch.Tensor:
        return torch.tensor([data["i"], self.R.randint(1 << 30)])


def batches(workers: int, start: tuple[int, int] = (0, 0)) -> list[torch.Tensor]:
    dataset = SeededDataset([{"i": i} for i in range(10)], Compose([Draw()]), seed=3)
    sampler = EpochSampler(length=10, batch_size=2, seed=3)
    sampler.start(*start)
    loader = DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers)
    return [b for _ in range(2) for b in loader]


def test_samples_do_not_depend_on_workers() -> None:
    assert torch.equal(torch.cat(batches(0)), torch.cat(batches(2)))


def test_epochs_differ_and_cover_the_data() -> None:
    drawn = torch.cat(batches(0))
    first, second = drawn[:10], drawn[10:]
    assert sorted(first[:, 0].tolist()) == sorted(second[:, 0].tolist()) == list(range(10))
    assert first[:, 0].tolist() != second[:, 0].tolist()
    assert not set(first[:, 1].tolist()) & set(second[:, 1].tolist())


def test_start_goes_on_within_an_epoch() -> None:
    assert torch.equal(torch.cat(batches(0)[3:5]), torch.cat(batches(0, start=(0, 3))[:2]))


def test_processes_share_an_epoch_without_overlap() -> None:
    keys = [list(EpochSampler(length=13, batch_size=2, seed=1, num_replicas=3, rank=r)) for r in range(3)]
    assert [len(k) for k in keys] == [4, 4, 4]
    assert len({k for part in keys for k in part}) == 12


def test_too_little_data_for_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="5 samples"):
        EpochSampler(length=5, batch_size=2, seed=0, num_replicas=3)


def test_negative_key_is_refused() -> None:
    with pytest.raises(IndexError):
        SeededDataset([1], lambda x: x)[-1]
