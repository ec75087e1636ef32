# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which training goes on exactly."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow

from radbundles.components.data.mixed_sampler import MixedSampler
from radbundles.components.data.seeded import EpochSampler
from radbundles.components.engines.best_model import save_atomically

logger = logging.getLogger(__name__)
_NAME = re.compile(r"checkpoint_(\d+)\.pt")


class Resume:
    """Save everything that training needs to go on, and go on from the newest checkpoint when it starts again.

    With :class:`SeedIterations`, :class:`~radbundles.components.data.SeededDataset` and
    :class:`~radbundles.components.data.EpochSampler` or :class:`~radbundles.components.data.MixedSampler`, all
    randomness is a function of (seed, iteration), so a checkpoint holds no generator state: a run killed at any moment
    and started again by the same command ends with the weights of a run that was never killed (bit for bit on the CPU).

    A checkpoint is written after each epoch (after validation: put this handler last) and, with ``every``, within
    epochs. Writes are atomic; the last ``keep`` files stay; files are loaded with ``weights_only=True``.

    Args:
        directory: where ``checkpoint_<iteration>.pt`` lies.
        objects: things with ``state_dict`` and ``load_state_dict``: network, optimizer, early stop, ...
        evaluator: MONAI evaluator whose best metric so far is kept.
        sampler: the training sampler, told where in the epoch to go on.
        every: iterations between checkpoints within an epoch; 0 for none. A multiple of the trainer's
            ``accumulation_steps``, since gradients in the making are not saved.
        keep: newest checkpoints that stay on disk; at least 1.
        enabled: False starts anew and removes the checkpoints of an earlier run.

    Raises:
        ValueError: if ``every`` or ``keep`` is out of range, or, at the start, ``every`` fits no accumulation.
        RuntimeError: at the start, if the checkpoint belongs to another length of epoch (other data or batch size) or
            to another network.
    """

    def __init__(
        self,
        *,
        directory: str | Path,
        objects: dict[str, Any],
        sampler: EpochSampler | MixedSampler,
        evaluator: Workflow | None = None,
        every: int = 0,
        keep: int = 2,
        enabled: bool = True,
    ) -> None:
        if keep < 1 or every < 0:
            raise ValueError(f"need keep >= 1 and every >= 0, got keep={keep}, every={every}")
        self.directory = Path(directory)
        self.objects = objects
        self.sampler = sampler
        self.evaluator = evaluator
        self.every = every
        self.keep = keep
        self.enabled = enabled

    def attach(self, engine: Workflow) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        if self.every:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._save_within_epoch)

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints on disk, oldest first."""
        found = [
            (int(match[1]), p) for p in self.directory.glob("checkpoint_*.pt") if (match := _NAME.fullmatch(p.name))
        ]
        return [path for _, path in sorted(found)]

    def _save_within_epoch(self, engine: Workflow) -> None:
        within = engine.state.iteration % engine.state.epoch_length
        if within and within % self.every == 0:
            self.save(engine)

    def save(self, engine: Workflow) -> None:
        """Write a checkpoint of the trainer's present iteration."""
        if engine.state.rank != 0:
            return
        state = {name: item.state_dict() for name, item in self.objects.items()}
        state["trainer"] = {"iteration": engine.state.iteration, "epoch_length": engine.state.epoch_length}
        scaler = getattr(engine, "scaler", None)
        if scaler is not None:
            state["scaler"] = scaler.state_dict()
        if self.evaluator is not None:
            best = self.evaluator.state
            state["best"] = {"metric": float(best.best_metric), "epoch": int(best.best_metric_epoch)}
        save_atomically(state, self.directory / f"checkpoint_{engine.state.iteration:09d}.pt")
        for path in self.checkpoints()[: -self.keep]:
            path.unlink(missing_ok=True)

    def restore(self, engine: Workflow) -> None:
        """Load the newest checkpoint, if there is one, into all objects, the trainer and the evaluator."""
        steps = getattr(engine, "accumulation_steps", 1)
        if self.every % steps:
            raise ValueError(f"every={self.every} must be a multiple of the trainer's accumulation_steps={steps}")
        self.sampler.start(0, 0)
        found = self.checkpoints()
        if not self.enabled and engine.state.rank == 0:
            for path in found:
                path.unlink(missing_ok=True)
        if not self.enabled or not found:
            return
        state = torch.load(found[-1], map_location="cpu", weights_only=True)
        trainer = state["trainer"]
        if trainer["epoch_length"] != engine.state.epoch_length:
            raise RuntimeError(
                f"{found[-1].name} was written with {trainer['epoch_length']} iterations per epoch, now there are "
                f"{engine.state.epoch_length}: the data or the batch size changed. Give another output_dir to start "
                "anew, or restore the former settings"
            )
        for name, item in self.objects.items():
            if name not in state:
                raise RuntimeError(f"{found[-1].name} holds no state of {name!r}: it was written by another config")
            try:
                item.load_state_dict(state[name])
            except (RuntimeError, ValueError) as error:
                raise RuntimeError(
                    f"the state of {name!r} in {found[-1].name} does not fit: it was written by a run with other "
                    "settings. Give another output_dir, or --resume false to start anew"
                ) from error
        scaler = getattr(engine, "scaler", None)
        if scaler is not None and "scaler" in state:
            scaler.load_state_dict(state["scaler"])
        if self.evaluator is not None and "best" in state:
            self.evaluator.state.best_metric = state["best"]["metric"]
            self.evaluator.state.best_metric_epoch = state["best"]["epoch"]
        engine.state.iteration = trainer["iteration"]
        engine.state.epoch = trainer["iteration"] // trainer["epoch_length"]
        self.sampler.start(engine.state.epoch, trainer["iteration"] % trainer["epoch_length"])
        logger.info("Resumed from %s (epoch %d)", found[-1].name, engine.state.epoch)
