# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights of a bundle into its network, every tensor of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    fit_weights(network, read_checkpoint(path), path.name)


def fit_weights(network: nn.Module, state: Mapping[str, Any], name: str) -> None:
    """Load a state dict that has been read, as :func:`load_weights` does; ``name`` is what errors call it."""
    own = network.state_dict()
    faults = [
        (kind, names)
        for kind, names in (
            ("are missing", [key for key in own if key not in state]),
            ("are not of this network", [key for key in state if key not in own]),
            (
                "have another shape",
                [
                    f"{key} {tuple(getattr(state[key], 'shape', ()))} for {tuple(own[key].shape)}"
                    for key in own
                    if key in state and getattr(state[key], "shape", None) != own[key].shape
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
            f"{name} does not fit the network: {told}. Weights fit the configuration they were trained with: "
            "name its overlays too (tiny, for example)"
        )
    network.load_state_dict(state)
