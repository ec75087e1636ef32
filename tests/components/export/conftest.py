# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Values that make the inference network of every bundle small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
from radbundles.components.phantom import write_phantoms

VIT = {"kind": "vit", "patch_size": 16, "dim": 32, "depth": 2, "heads": 2}
ECAMP = {
    **dict.fromkeys(("dim", "decoder_dim", "text_dim"), 16),
    **dict.fromkeys(("depth", "decoder_depth", "text_layers"), 1),
    **dict.fromkeys(("heads", "decoder_heads", "text_heads"), 2),
    "patch_size": 8,
    "text_ffn": 32,
}


def under(prefix: str, **values: Any) -> dict[str, Any]:
    return {f"network_def#{prefix}#{key}": value for key, value in values.items()}


def towers(prefix: str = "") -> dict[str, Any]:
    return {
        **under(f"{prefix}image#encoder", depth=18, widths=[8, 16], blocks=[1, 1]),
        **under(f"{prefix}text#encoder", dim=16, layers=1, heads=2, ffn=32),
        "dim": 16,
        "phrases": ["left effusion"],
        "classes": ["Atelectasis", "Cardiomegaly"],
    }


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tokenizer of the reports of phantoms."""
    folder = tmp_path_factory.mktemp("words")
    out = folder / "tokenizer.json"
    train_tokenizer(ReportCorpus(write_phantoms(folder, count=12, seed=3, size=64)), vocab_size=400, out=out)
    return str(out)


@pytest.fixture(scope="session")
def small(tokenizer: str) -> dict[str, dict[str, Any]]:
    """Values for ``inference.json`` by bundle."""
    values: dict[str, dict[str, Any]] = {
        "dcxfm_dense": {
            **towers("dcxfm#"),
            **under("aggregator", dim=16, window=4, decoder_widths=[16, 16]),
            "tokenizer": tokenizer,
            "phrases": [],
        },
        "dcxfm_pretrain": {**towers(), "tokenizer": tokenizer},
        "ecamp_classification": {"encoder": VIT},
        "ecamp_detection": {"encoder": VIT, "detector": {"kind": "retinanet", "out_channels": 16, "strides": [16, 32]}},
        "ecamp_pretrain": {**{f"network_def#{key}": value for key, value in ECAMP.items()}, "tokenizer": tokenizer},
        "ecamp_segmentation": {"encoder": VIT, "decoder_widths": [16, 8, 8, 8]},
    }
    return {name: {"image_size": 64, **own} for name, own in values.items()}


@pytest.fixture
def bundles(repository: Path) -> Path:
    return repository / "bundles"
