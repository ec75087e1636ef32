# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Data whose randomness is a function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from monai.transforms import Randomizable
from torch.utils.data import Dataset, Sampler


def derive_seed(seed: int, *position: int) -> int:
    """Return a 32-bit seed for a position such as (epoch, index); different positions give unrelated seeds."""
    return int(np.random.SeedSequence([seed, *position]).generate_state(1)[0])


class EpochSampler(Sampler[int]):
    """Shuffle by (seed, epoch), share out over processes, and start anywhere in an epoch.

    It yields ``epoch * length + index``, so that the number itself tells :class:`SeededDataset` the epoch, in worker
    processes too. Every process gets the same number of full batches; what remains of an epoch's order is left out,
    as in the official recipe.

    Args:
        length: number of samples in the dataset.
        batch_size: of the loader; a resumed epoch skips whole batches.
        seed: of the run.
        num_replicas: number of processes.
        rank: of this process.

    Raises:
        ValueError: if there is not one batch for every process.
    """

    def __init__(self, *, length: int, batch_size: int, seed: int, num_replicas: int = 1, rank: int = 0) -> None:
        self.samples = length // (num_replicas * batch_size) * batch_size
        if self.samples == 0:
            raise ValueError(
                f"{length} samples do not fill one batch of {batch_size} on each of {num_replicas} processes: "
                "add data or lower the batch size"
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(f"rank {rank} is not one of {num_replicas} processes")
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.num_replicas = num_replicas
        self.rank = rank
        self._next = (0, 0)

    def start(self, epoch: int, batches: int) -> None:
        """Make the next iteration run through ``epoch`` from batch ``batches`` on; later ones follow on from it."""
        self._next = (epoch, batches)

    def __len__(self) -> int:
        """Return the samples of one process in a full epoch."""
        return self.samples

    def __iter__(self) -> Iterator[int]:
        """Yield the keys of the next epoch."""
        epoch, batches = self._next
        self._next = (epoch + 1, 0)
        order = np.random.Generator(np.random.PCG64([self.seed, epoch])).permutation(self.length)
        mine = order[self.rank :: self.num_replicas][: self.samples][batches * self.batch_size :]
        return iter((epoch * self.length + mine).tolist())


class Indexed(Protocol):
    """A list, a datalist, or a dataset of torch or MONAI that has a length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class SeededDataset(Dataset[Any]):
    """Apply a transform whose random state is set anew for every sample from (seed, epoch, index).

    A sample then does not depend on the number of workers, on the order in which samples are drawn, or on what was
    drawn before, so that training can go on exactly where it stopped.

    Args:
        data: items, for example of :func:`~radbundles.components.data.load_datalist`, or a dataset that caches them.
        transform: MONAI transform; its random parts draw from their own state only.
        seed: of the run.
    """

    def __init__(self, data: Indexed, transform: Callable[[Any], Any], seed: int = 0) -> None:
        self.data = data
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.data)

    def __getitem__(self, key: int) -> Any:
        """Return the transformed sample for ``epoch * len(self) + index``; a plain index is epoch 0."""
        if key < 0:
            raise IndexError(f"key must not be negative, got {key}")
        epoch, index = divmod(key, len(self.data))
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=derive_seed(self.seed, epoch, index))
        return self.transform(dict(self.data[index]))
