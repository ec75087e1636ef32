# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle that answers: dcxfm_pretrain's inference.json over a network of a few thousand weights, untrained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from radbundles.networks import DCXFM, ImageTower, ResNetEncoder, TextTower, build_bert
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


@pytest.fixture(scope="session")
def answering(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Folder of a bundle with weights, tokenizer and the overlay ``small``."""
    folder = tmp_path_factory.mktemp("bundles") / "answering"
    configs = folder / "configs"
    configs.mkdir(parents=True)
    (folder / "models").mkdir()
    shutil.copy(repository / "bundles" / "dcxfm_pretrain" / "configs" / "inference.json", configs)
    shutil.copy(repository / "bundles" / "ecamp_pretrain" / "configs" / "metadata.json", configs)
    (configs / "small.json").write_text(json.dumps(SMALL))
    tokenizer = build_report_tokenizer({piece: number for number, piece in enumerate(PIECES)})
    tokenizer.save(str(folder / "models" / "tokenizer.json"))
    torch.manual_seed(0)
    network = DCXFM(
        ImageTower(ResNetEncoder(18, widths=(4, 4, 8, 8), blocks=(1, 1, 1, 1)), dim=16),
        TextTower(build_bert(vocab_size=len(PIECES), dim=16, layers=1, heads=2, max_length=80), dim=16),
    )
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder
