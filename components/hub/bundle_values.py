# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that a bundle needs to answer, found before anything heavy is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from radbundles.components.hub.bundles import Bundle


def bundle_values(
    bundle: Bundle,
    *,
    weights: str | os.PathLike[str] | None,
    tokenizer: str | os.PathLike[str] | None,
    device: str | None,
) -> dict[str, Any]:
    """Return weights, tokenizer and device as values of ``inference.json``, having made sure that the files are there.

    Raises:
        FileNotFoundError: if weights or tokenizer are missing; says how to get them.
    """
    files = {
        "weights": Path(weights) if weights is not None else bundle.weights,
        "tokenizer": Path(tokenizer) if tokenizer is not None else bundle.folder / "models" / "tokenizer.json",
    }
    given = {"weights": weights, "tokenizer": tokenizer}
    for key, file in files.items():
        if file is None or not (file.is_file() or (key == "tokenizer" and file.is_dir())):
            if given[key] is not None:
                raise FileNotFoundError(f"no {key} at {file}")
            raise FileNotFoundError(
                f"bundle {bundle.name} comes without {key}: name those of a training run with --weights and "
                f"--tokenizer, or pack them into a bundle (radbundles pack). To train: python -m monai.bundle run "
                f"--config_file configs/train.json --bundle_root . in {bundle.folder}"
            )
    values: dict[str, Any] = {key: str(file) for key, file in files.items()}
    return values if device is None else {**values, "device": str(device)}
