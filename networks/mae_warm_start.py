# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Start of ECAMP from a masked autoencoder that was trained on natural images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from radbundles.networks.checkpoint_file import read_checkpoint
from radbundles.networks.ecamp import ECAMP
from radbundles.networks.ecamp_checkpoint import rename_ecamp_key


@torch.no_grad()
def load_mae_warm_start(network: ECAMP, path: str | Path) -> dict[str, list[str]]:
    """Copy an MAE vision transformer into the encoder of ECAMP, and its decoder too where the file has one.

    Reads the files of https://github.com/facebookresearch/mae: ``{"model": state dict}`` with timm names and fused
    query-key-value. As in the official code the first decoder blocks are used when the file has more of them, and
    the position tables of the file replace those of the network (quirk Q18).

    Deviation: the official code copies whatever name it recognizes; here the encoder must be complete and every shape
    must fit.

    Args:
        network: changed in place, and only if all fits.
        path: the MAE checkpoint.

    Returns:
        Report of keys: ``loaded`` (names in the file), ``skipped`` (in the file, not in the network), ``untouched``
        (names in the network that keep their values).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a part of the encoder is missing or a shape does not fit.
    """
    content = read_checkpoint(path)
    source: dict[str, Any] = content.get("model", content)
    own = network.state_dict()
    loaded: dict[str, torch.Tensor] = {}
    report: dict[str, list[str]] = {"loaded": [], "skipped": [], "untouched": []}
    for key, value in source.items():
        ours = rename_ecamp_key(key)
        if ours not in own:
            report["skipped"].append(key)
            continue
        if value.shape != own[ours].shape:
            raise ValueError(f"key {key!r} has the shape {tuple(value.shape)}, {tuple(own[ours].shape)} is needed")
        loaded[ours] = value
        report["loaded"].append(key)
    if missing := [key for key in own if key.startswith("encoder.") and key not in loaded]:
        raise ValueError(f"{Path(path).name} lacks {len(missing)} tensors of the encoder, first {missing[:3]}")
    for ours, value in loaded.items():
        own[ours].copy_(value)
    report["untouched"] = [key for key in own if key not in loaded]
    return report
