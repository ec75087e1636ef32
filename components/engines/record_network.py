# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What it takes to use the weights of a run: the network they belong to, its tokenizer and its gray scale."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ignite.engine import Events
from monai.engines.workflow import Workflow

import radbundles
from radbundles.networks import ECAMP
from radbundles.networks.checkpoint_file import file_provenance
from radbundles.transforms import entity_forms


class RecordNetwork:
    """Write ``config.json`` and a copy of the tokenizer beside the weights of a run of ECAMP when training starts.

    ``config.json`` is that of a converted checkpoint (:func:`~radbundles.networks.save_ecamp`) with ``preparation``
    beside ``network``: what images were normalized by, and the words that count as entities. It names no folder of the
    machine. Put it after :class:`Resume`, so that a run that does not fit its checkpoint leaves the record alone.

    Args:
        folder: of the run.
        network: the network.
        tokenizer: ``tokenizer.json`` of the run.
        entities: words or lexicon, see :func:`radbundles.transforms.entity_forms`.
        pixel_mean: of the images.
        pixel_std: likewise.
    """

    def __init__(
        self,
        *,
        folder: str | os.PathLike[str],
        network: ECAMP,
        tokenizer: str | os.PathLike[str],
        entities: Sequence[str] | str | os.PathLike[str],
        pixel_mean: float,
        pixel_std: float,
    ) -> None:
        self.folder = Path(folder)
        self.tokenizer = Path(tokenizer)
        self.network = network
        self.preparation = {
            "pixel_mean": pixel_mean,
            "pixel_std": pixel_std,
            "entities": list(entity_forms(entities)),
        }

    def attach(self, engine: Workflow) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write the files from the first process."""
        if engine.state.rank != 0:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {
            "network": {"_target_": "radbundles.networks.ECAMP", **self.network.sizes},
            "preparation": {**self.preparation, "tokenizer": file_provenance(self.tokenizer)},
            "radbundles": radbundles.__version__,
        }
        _replace(self.folder / "tokenizer.json", self.tokenizer.read_bytes())
        _replace(self.folder / "config.json", (json.dumps(record, indent=2) + "\n").encode())


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
