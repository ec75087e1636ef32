# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The beginning and the end of a run on several processes."""

from __future__ import annotations

import logging
import os
import time

import torch
import torch.distributed as dist

# Of 60 processes that destroyed a group of gloo and were done, 4 were aborted by its threads; of 30 that paused, none.
_PAUSE = 0.5


def join_processes(device: str | torch.device) -> None:
    """Meet the other processes that ``torchrun`` started: by NCCL on GPUs, by gloo on CPUs.

    All but the first say nothing from here on but warnings and errors.

    Args:
        device: of this process.

    Raises:
        RuntimeError: if torchrun did not start this process, or there are fewer GPUs than processes.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        raise RuntimeError(
            "the environment has no RANK and WORLD_SIZE: start a config for several processes by "
            "`torchrun --standalone --nproc_per_node=N -m monai.bundle run ...`, or leave it out for one process"
        )
    device = torch.device(device)
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise RuntimeError(
                f"this process is to use {device}, but there are {torch.cuda.device_count()} GPUs: "
                "set --nproc_per_node to their number"
            )
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if dist.get_rank() > 0:
        logging.disable(logging.INFO)


def leave_processes() -> None:
    """Wait for the other processes, which may still write files, and part from them."""
    dist.barrier()
    gloo = dist.get_backend() == "gloo"
    dist.destroy_process_group()
    logging.disable(logging.NOTSET)
    if gloo:
        time.sleep(_PAUSE)
