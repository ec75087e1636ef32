# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights of a bundle into its network, every tensor of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_SHOWN = 3


def load_weights(network: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a state dict, and refuse what does not fit in words that say why.

    MONAI's CheckpointLoader reads files of ``torch.save`` alone and passes on the message of ``load_state_dict``, which
    lists every tensor of a large network.

    Args:
        network: gets the weights.
        path: safetensors, or a file of ``torch.save``, read with ``weights_only=True``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read so, or its tensors are not those of the network.
    """
    from radbundles.networks.checkpoint_file import read_checkpoint

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: train the bundle, or name the file of a training run")
    state, own = read_checkpoint(path), network.state_dict()
    faults = [
        (kind, names)
        for kind, names in (
            ("are missing", [name for name in own if name not in state]),
            ("are not of this network", [name for name in state if name not in own]),
            (
                "have another shape",
                [
                    f"{name} {tuple(getattr(state[name], 'shape', ()))} for {tuple(own[name].shape)}"
                    for name in own
                    if name in state and getattr(state[name], "shape", None) != own[name].shape
                ],
            ),
        )
        if names
    ]
    if faults:
        told = "; ".join(
            f"{len(names)} tensors {kind}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
            for kind, names in faults
        )
        raise ValueError(
            f"{path.name} does not fit the network: {told}. Weights fit the configuration they were trained with: "
            "name its overlays too (tiny, for example)"
        )
    network.load_state_dict(state)
