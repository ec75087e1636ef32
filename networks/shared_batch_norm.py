# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Batch normalization by the statistics of the batches of all processes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from radbundles.networks.all_processes import process_count, summed


def share_batch_norm(module: nn.Module, share: bool = True) -> nn.Module:
    """Make every batch normalization in a module take its statistics from all processes, as one process would.

    Layers are replaced in place and keep their parameters and buffers, so that an optimizer, a teacher or a checkpoint
    that holds them stays right, and names in a state dict are the same. On an accelerator PyTorch's
    :class:`torch.nn.SyncBatchNorm` takes their place, which refuses the CPU; there it is :class:`SharedBatchNorm`. In
    eval mode, and in one process, nothing changes.

    Args:
        module: changed; must not be a batch normalization itself.
        share: False leaves every process to itself, as the official code of DCXFM does.

    Returns:
        The module.

    Raises:
        TypeError: if the module is a batch normalization.
    """
    if isinstance(module, _BatchNorm):
        raise TypeError("give the network around the batch normalization, it is replaced there")
    if share:
        for parent in list(module.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, _BatchNorm) and not isinstance(child, (nn.SyncBatchNorm, SharedBatchNorm)):
                    setattr(parent, name, _shared(child))
    return module


class SharedBatchNorm(_BatchNorm):
    """Batch normalization [N, C, ...] whose mean and variance are those of all processes' batches, on any device.

    While it trains, the processes must take their steps together; their batches may differ in size. Mean and squared
    deviations are summed in two passes, so that a large mean costs no digits; in float32 also under autocast.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"input must be [N, C, ...], got {tuple(input.shape)}")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize features [N, C, ...]."""
        if not self.training or process_count() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        others = [0, *range(2, input.ndim)]
        across = [1, -1] + [1] * (input.ndim - 2)
        with torch.autocast(input.device.type, enabled=False):
            x = input.to(torch.promote_types(input.dtype, torch.float32))
            number = x.new_tensor([x.numel() / x.shape[1]])
            total = summed(torch.cat([x.sum(others), number]))
            mean, count = total[:-1] / total[-1], total[-1].detach()
            centered = x - mean.view(across)
            variance = summed(centered.square().sum(others)) / count
            self._remember(mean.detach(), variance.detach(), count)
            x = centered * (variance + self.eps).rsqrt().view(across)
            if self.affine:
                x = x * self.weight.view(across) + self.bias.view(across)
        return x.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor, count: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), share)


def _shared(norm: _BatchNorm) -> nn.Module:
    held = norm.weight if norm.affine else norm.running_mean
    if held is not None and held.device.type != "cpu":
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return shared.train(norm.training)
    ours = SharedBatchNorm(
        norm.num_features,
        eps=norm.eps,
        momentum=norm.momentum,
        affine=norm.affine,
        track_running_stats=norm.track_running_stats,
    )
    if norm.affine:
        ours.weight, ours.bias = norm.weight, norm.bias
    ours.running_mean, ours.running_var = norm.running_mean, norm.running_var
    ours.num_batches_tracked = norm.num_batches_tracked
    return ours.train(norm.training)
