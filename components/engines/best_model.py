# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Keeping the weights of the best validation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from torch import nn


def save_atomically(state: object, path: Path) -> None:
    """Write with ``torch.save`` so that a reader, or a kill at any moment, never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


class BestModel:
    """Save a network's bare state dict whenever an evaluator's key metric improves.

    MONAI's CheckpointSaver forgets across a resumed run what the best so far was, or else mixes its memory into
    the weights file, and its writes are not atomic. This handler compares nothing itself: it reads
    ``best_metric_epoch``, which MONAI's Evaluator keeps and :class:`Resume` restores.

    Args:
        network: the network whose ``state_dict`` is written.
        path: the file, for example ``model.pt``; loadable with ``torch.load(weights_only=True)``.
        keep: "best", or "last" to write after every evaluation: where training is short and its learning rate falls to
            zero, the last weights are the ones to have, and a small validation section may prefer half-trained ones.

    Raises:
        ValueError: if ``keep`` is neither.
    """

    def __init__(self, network: nn.Module, path: str | Path, *, keep: Literal["best", "last"] = "best") -> None:
        if keep not in ("best", "last"):
            raise ValueError(f'keep must be "best" or "last", got {keep!r}')
        self.keep = keep
        self.network = network
        self.path = Path(path)

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator, which must have a key metric."""
        if getattr(engine.state, "key_metric_name", None) is None:
            raise ValueError("BestModel needs an evaluator with a key metric: set key_val_metric")
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write the weights if the evaluation that just ended is the best so far, or in any case."""
        if engine.state.rank == 0 and (self.keep == "last" or engine.state.best_metric_epoch == engine.state.epoch):
            save_atomically(self.network.state_dict(), self.path)
