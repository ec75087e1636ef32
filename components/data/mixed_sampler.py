# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches that mix sources of data by weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

_LONGEST_TURN = 1 << 16


class MixedSampler(Sampler[int]):
    """Draw from several sources, each by its share, for a dataset in which they lie one behind the other.

    The sources take turns by their weights, evenly (smooth weighted round robin): what a batch cannot give a source
    because a sample is a whole one, the next batches do, so that shares are exact in the long run, across batches,
    epochs and processes. Each source goes through all its samples, in an order of its own, before it starts anew.

    Like :class:`~radbundles.components.data.EpochSampler` it yields ``number * length + index``, from which
    :class:`~radbundles.components.data.SeededDataset` draws its randomness. The number is that of the source's pass
    rather than the epoch's, since a small source may be gone through several times within an epoch, and its images
    shall not be augmented in the same way each time. Every key is a function of (seed, epoch, batch), so that training
    can go on anywhere.

    Args:
        sizes: samples of each source, in the order in which they lie in the dataset; a list, or a mapping such as
            ``MaskItems.counts``.
        weights: share of each source, relative to the others, as a list or a mapping with the same keys. Taken as the
            decimal numbers that they are written as; if they have no common step above 1/65536 of their sum, they are
            rounded to that.
        batch_size: of the loader.
        seed: of the run.
        batches: of one process in an epoch; by default as many as all samples fill.
        num_replicas: number of processes.
        rank: of this process.

    Raises:
        ValueError: when an argument is out of range, or there is not one batch for every process.
    """

    def __init__(
        self,
        sizes: Sequence[int] | Mapping[str, int],
        *,
        weights: Sequence[float] | Mapping[str, float],
        batch_size: int,
        seed: int,
        batches: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        if isinstance(sizes, Mapping) and isinstance(weights, Mapping):
            if set(sizes) != set(weights):
                raise ValueError(f"sizes are of the sources {list(sizes)}, weights of {list(weights)}")
            weights = [weights[name] for name in sizes]
            sizes = list(sizes.values())
        elif isinstance(sizes, Mapping) or isinstance(weights, Mapping):
            raise ValueError("sizes and weights must be two lists or two mappings")
        if len(sizes) != len(weights) or not sizes or min(sizes) < 1:
            raise ValueError(f"need a weight and at least one sample for each source, got {sizes} and {weights}")
        if not all(0 < weight < float("inf") for weight in weights):
            raise ValueError(f"weights must be above 0, got {list(weights)}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"rank {rank} is not one of {num_replicas} processes")
        self.length = sum(sizes)
        self.batches = self.length // (num_replicas * batch_size) if batches is None else batches
        if self.batches < 1:
            raise ValueError(
                f"{self.length} samples do not fill one batch of {batch_size} on each of {num_replicas} processes: "
                "add data, lower the batch size, or give the number of batches"
            )
        self.sizes = tuple(sizes)
        self.batch_size = batch_size
        self.seed = seed
        self.num_replicas = num_replicas
        self.rank = rank
        self._shares = _whole_shares(weights)
        self._turn = _turn(self._shares)
        ahead = np.zeros(len(self._turn), np.int64)  # how often the source of a slot had its turn before it
        for source in range(len(sizes)):
            slots = np.flatnonzero(self._turn == source)
            ahead[slots] = np.arange(len(slots))
        self._ahead = ahead
        self._next = (0, 0)

    def start(self, epoch: int, batches: int) -> None:
        """Make the next iteration run through ``epoch`` from batch ``batches`` on; later ones follow on from it."""
        self._next = (epoch, batches)

    def __len__(self) -> int:
        """Return the samples of one process in a full epoch."""
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """Yield the keys of the next epoch."""
        epoch, first = self._next
        self._next = (epoch + 1, 0)
        batch = np.arange(first, self.batches) + epoch * self.batches
        # A process takes neighboring slots: every second one of two sources in turn would be the same source.
        slots = (batch[:, None] * self.num_replicas + self.rank) * self.batch_size + np.arange(self.batch_size)
        turns, places = np.divmod(slots.ravel(), len(self._turn))
        sources = self._turn[places]
        drawn = turns * np.asarray(self._shares)[sources] + self._ahead[places]
        keys = np.empty_like(drawn)
        start = 0
        for source, size in enumerate(self.sizes):
            mine = np.flatnonzero(sources == source)
            passes, within = np.divmod(drawn[mine], size)
            keys[mine] = passes * self.length + start + self._shuffled(source, passes, within)
            start += size
        return iter(keys.tolist())

    def _shuffled(self, source: int, passes: NDArray[np.int64], within: NDArray[np.int64]) -> NDArray[np.int64]:
        """Indices of samples that stand at some places of the orders of some passes."""
        indices = np.empty_like(within)
        for number in np.unique(passes):
            order = np.random.Generator(np.random.PCG64([self.seed, source, number])).permutation(self.sizes[source])
            now = passes == number
            indices[now] = order[within[now]]
        return indices


def _whole_shares(weights: Sequence[float]) -> list[int]:
    """Weights as the smallest whole numbers of the same proportions, their sum at most _LONGEST_TURN."""
    exact = [Fraction(str(weight)) for weight in weights]
    step = Fraction(1, lcm(*(weight.denominator for weight in exact)))
    shares = [int(weight / step) for weight in exact]
    common = int(np.gcd.reduce(np.array(shares, dtype=object)))
    shares = [share // common for share in shares]
    if sum(shares) > _LONGEST_TURN:
        shares = [max(1, round(share * _LONGEST_TURN / sum(shares))) for share in shares]
    return shares


def _turn(shares: Sequence[int]) -> NDArray[np.int64]:
    """Which source has each slot of a turn, in which each has as many slots as its share, spread evenly."""
    share = np.asarray(shares, np.int64)
    total = int(share.sum())
    credit = np.zeros_like(share)
    turn = np.empty(total, np.int64)
    for slot in range(total):
        credit += share
        turn[slot] = credit.argmax()
        credit[turn[slot]] -= total
    return turn
