# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that a bundle needs to answer, found before anything heavy is imported."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from radbundles.components.hub.bundles import Bundle


def asks_in_words(bundle: Bundle) -> bool:
    """Whether a bundle is asked in words, and so needs a tokenizer; others answer for the classes they were trained on.

    Raises:
        ValueError: if its ``inference.json`` cannot be read.
    """
    path = bundle.folder / "configs" / "inference.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return "tokenizer" in content


def bundle_values(
    bundle: Bundle,
    *,
    weights: str | os.PathLike[str] | None,
    tokenizer: str | os.PathLike[str] | None = None,
    device: str | None,
) -> dict[str, Any]:
    """Return weights, tokenizer and device as values of ``inference.json``, having made sure that the files are there.

    A bundle that is not asked in words has no tokenizer.

    Raises:
        FileNotFoundError: if weights or tokenizer are missing; says how to get them.
        ValueError: if the bundle has no use for a tokenizer, or its ``inference.json`` cannot be read.
    """
    in_words = asks_in_words(bundle)
    if tokenizer is not None and not in_words:
        raise ValueError(f"bundle {bundle.name} is not asked in words: it has no use for a tokenizer")
    files = {"weights": Path(weights) if weights is not None else bundle.weights}
    if in_words:
        files["tokenizer"] = Path(tokenizer) if tokenizer is not None else bundle.folder / "models" / "tokenizer.json"
    given = {"weights": weights, "tokenizer": tokenizer}
    for key, file in files.items():
        if file is None or not (file.is_file() or (key == "tokenizer" and file.is_dir())):
            if given[key] is not None:
                raise FileNotFoundError(f"no {key} at {file}")
            train = f"radbundles run {bundle.called} train"
            if not in_words:
                raise FileNotFoundError(
                    f"bundle {bundle.name} comes without {key}: name the one that a training run has made, "
                    f"OUTPUT_DIR/bundle. To train: {train}"
                )
            raise FileNotFoundError(
                f"bundle {bundle.name} comes without {key}: name those of a training run with --weights and "
                f"--tokenizer, or pack them into a bundle (radbundles pack). To train: {train}"
            )
    values: dict[str, Any] = {key: str(file) for key, file in files.items()}
    return values if device is None else {**values, "device": str(device)}
