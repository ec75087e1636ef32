# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sums and rows over all processes of a training, with the gradients that the whole batch would give."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist


def process_count() -> int:
    """Return how many processes train together; 1 where torch.distributed is not initialized."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def in_step() -> bool:
    """Whether other processes are in the same place, so that they can be waited for.

    Training processes take their steps together, with gradients on. Those that evaluate, without gradients, may have
    different numbers of batches, and one would wait for ever for another that is done.
    """
    return process_count() > 1 and torch.is_grad_enabled()


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over the processes, in step; the tensor itself otherwise.

    A loss whose every sum over samples goes through here is that of the batches of all processes together, on each of
    them. Its gradient at the values of one process is summed over the processes, all of which have the same loss;
    :class:`torch.nn.parallel.DistributedDataParallel` averages over processes, so that parameters get the gradient of
    the whole batch, without any factor.

    Args:
        values: any shape, the same in every process.
    """
    return summed(values) if in_step() else values


def summed(values: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over the processes, which must all come here, whether gradients are on or not."""
    result: torch.Tensor = _Sum.apply(values)
    return result


def rows_of_processes(rows: torch.Tensor) -> torch.Tensor:
    """Gather the rows of all processes, in the order of ranks, in step; the rows themselves otherwise.

    The gradient of a row is the sum of what it gets in every process.

    Args:
        rows: [n, ...], of the same shape in every process.

    Returns:
        [processes * n, ...].
    """
    if not in_step():
        return rows
    result: torch.Tensor = _Rows.apply(rows)
    return result


def longest_of_processes(length: int, device: torch.device) -> int:
    """Return the greatest of the lengths that the processes have, in step; the length itself otherwise."""
    if not in_step():
        return length
    longest = torch.tensor(length, device=device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    return int(longest)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return _Sum.forward(ctx, gradients[0])


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        gathered = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(process_count())]
        dist.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(process_count())[dist.get_rank()]
