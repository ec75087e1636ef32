# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Features and entity maps of images as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from monai.inferers import Inferer

from radbundles.components.inference.output_files import file_name


class DescribeInferer(Inferer):
    """Calls a network's ``describe`` in place of its forward: all that it can tell of an image, by name."""

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Return what ``network.describe`` returns for inputs [B, C, H, W]."""
        described: dict[str, torch.Tensor] = network.describe(inputs, *args, **kwargs)
        return described


class WriteEntityMaps:
    """Write one ``.npz`` an image: ``features`` [dim], ``attention`` [E, rows, columns] and ``entities`` [E].

    Load it with ``numpy.load(path)``; it holds no pickle. Attention of an entity sums to 1 over the grid.

    Args:
        folder: where the files go.
        entities: names in the order of the network's prompts.
    """

    def __init__(self, folder: str | Path, entities: Sequence[str]) -> None:
        self.folder = Path(folder)
        self.entities = np.array(list(entities))

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator whose batch has ``id`` and whose prediction comes from :class:`DescribeInferer`."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write the files of a batch."""
        self.folder.mkdir(parents=True, exist_ok=True)
        described = {name: value.float().cpu().numpy() for name, value in engine.state.output["pred"].items()}
        for place, name in enumerate(engine.state.batch["id"]):
            np.savez_compressed(
                self.folder / f"{file_name(name)}.npz",
                features=described["features"][place],
                attention=described["pred"][place],
                entities=self.entities,
            )
