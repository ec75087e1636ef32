# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Ignite handlers and small functions that turn an objective into a MONAI training workflow."""

from __future__ import annotations

from radbundles.components.engines.batch import loss_of, losses_of, move_batch
from radbundles.components.engines.best_model import BestModel
from radbundles.components.engines.clip_gradients import ClipGradients
from radbundles.components.engines.early_stop import EarlyStop
from radbundles.components.engines.ema_teacher import EMATeacher
from radbundles.components.engines.layer_decay import layer_decay_groups
from radbundles.components.engines.optimizer import parameter_groups, weight_decay_groups
from radbundles.components.engines.processes import join_processes, leave_processes
from radbundles.components.engines.progress import Progress
from radbundles.components.engines.record_network import RecordNetwork
from radbundles.components.engines.resume import Resume
from radbundles.components.engines.schedule import WarmupCosine
from radbundles.components.engines.seeding import SeedIterations
from radbundles.components.engines.sync_gradients import SyncGradients
from radbundles.components.engines.write_metrics import WriteMetrics

__all__ = [
    "BestModel",
    "ClipGradients",
    "EMATeacher",
    "EarlyStop",
    "Progress",
    "RecordNetwork",
    "Resume",
    "SeedIterations",
    "SyncGradients",
    "WarmupCosine",
    "WriteMetrics",
    "join_processes",
    "layer_decay_groups",
    "leave_processes",
    "loss_of",
    "losses_of",
    "move_batch",
    "parameter_groups",
    "weight_decay_groups",
]
