# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles that answer: the inference.json of both stages of DCXFM over untrained networks of a few thousand weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from radbundles.networks import DCXFM, CostAggregator, DCXFMDense, ImageTower, ResNetEncoder, TextTower, build_bert
from radbundles.transforms import build_report_tokenizer
from radbundles.transforms.report_tokenizer import SPECIAL_TOKENS

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [*SPECIAL_TOKENS, ".", "effusion", "left", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
SMALL = {
    "image_size": 96,
    "dim": 16,
    "network_def#image#encoder": {
        "_target_": "radbundles.networks.ResNetEncoder",
        "depth": 18,
        "in_channels": "@channels",
        "widths": [4, 4, 8, 8],
        "blocks": [1, 1, 1, 1],
    },
    "network_def#text#encoder": {
        "_target_": "radbundles.networks.build_bert",
        "vocab_size": "$@vocabulary.get_vocab_size()",
        "dim": 16,
        "layers": 1,
        "heads": 2,
        "max_length": 80,
    },
}


SMALL_DENSE = {
    **{key.replace("network_def#", "network_def#dcxfm#"): value for key, value in SMALL.items()},
    "network_def#aggregator": {
        "_target_": "radbundles.networks.CostAggregator",
        "dim": 8,
        "heads": 2,
        "decoder_widths": [16, 16],
    },
}


def towers() -> DCXFM:
    torch.manual_seed(0)
    return DCXFM(
        ImageTower(ResNetEncoder(18, widths=(4, 4, 8, 8), blocks=(1, 1, 1, 1)), dim=16),
        TextTower(build_bert(vocab_size=len(PIECES), dim=16, layers=1, heads=2, max_length=80), dim=16),
    )


def make_bundle(folder: Path, inference: Path, small: dict[str, object], network: torch.nn.Module) -> Path:
    """Make the folder of a bundle with weights, tokenizer and the overlay ``small``."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    shutil.copy(inference, folder / "configs")
    shutil.copy(inference.parents[2] / "ecamp_pretrain" / "configs" / "metadata.json", folder / "configs")
    (folder / "configs" / "small.json").write_text(json.dumps(small))
    tokenizer = build_report_tokenizer({piece: number for number, piece in enumerate(PIECES)})
    tokenizer.save(str(folder / "models" / "tokenizer.json"))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


@pytest.fixture(scope="session")
def answering(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A bundle of stage 1."""
    inference = repository / "bundles" / "dcxfm_pretrain" / "configs" / "inference.json"
    return make_bundle(tmp_path_factory.mktemp("bundles") / "answering", inference, SMALL, towers())


@pytest.fixture(scope="session")
def masking(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A bundle of stage 2, whose masks are neither empty nor full."""
    network = DCXFMDense(towers(), CostAggregator(dim=8, heads=2, decoder_widths=(16, 16)))
    inference = repository / "bundles" / "dcxfm_dense" / "configs" / "inference.json"
    return make_bundle(tmp_path_factory.mktemp("bundles") / "masking", inference, SMALL_DENSE, network)
