# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A made bundle to examine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

METADATA = {
    "version": "0.2.0",
    "name": "Toy",
    "task": "Testing",
    "description": "A bundle that is only looked at.",
    "monai_version": "1.0.0",
    "pytorch_version": "2.0.0",
    "numpy_version": "1.20.0",
    "required_packages_version": {"pydicom": "2.0.0"},
}


@pytest.fixture
def toy_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a complete bundle without weights, found through RADBUNDLES_PATH."""
    root = tmp_path / "hub" / "toy_segmentation"
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text\n")
    (root / "configs").mkdir()
    (root / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    preflight = {"initialize": ["$__import__('radbundles').require('>=0.0.1')"]}
    (root / "configs" / "train.json").write_text(json.dumps(preflight))
    monkeypatch.setenv("RADBUNDLES_PATH", str(root.parent))
    return root


VIT = {"image_size": 64, "encoder": {"kind": "vit", "patch_size": 16, "dim": 16, "depth": 1, "heads": 2}}
RESNET = {
    "_target_": "radbundles.networks.ResNetEncoder",
    "depth": 18,
    "in_channels": "@channels",
    "widths": [4, 4, 8, 8],
    "blocks": [1, 1, 1, 1],
}
BERT = {
    "_target_": "radbundles.networks.build_bert",
    "vocab_size": "$@vocabulary.get_vocab_size()",
    "dim": 16,
    "layers": 1,
    "heads": 2,
    "max_length": 80,
}
AGGREGATOR = {
    "_target_": "radbundles.networks.CostAggregator",
    "dim": 8,
    "heads": 2,
    "prompt_channels": "@prompt_channels",
    "decoder_widths": [16, 16],
}
ECAMP = {"patch_size": 8, "dim": 16, "depth": 1, "heads": 2, "decoder_dim": 16, "decoder_depth": 1, "decoder_heads": 2}
ECAMP |= {"text_dim": 16, "text_layers": 1, "text_heads": 2, "text_ffn": 32}
TOWERS = {"image_size": 96, "dim": 8, "classes": ["Cardiomegaly", "Pleural Effusion"]}
SMALL: dict[str, dict[str, Any]] = {
    "ecamp_pretrain": {"image_size": 64, **{f"network_def#{key}": value for key, value in ECAMP.items()}},
    "dcxfm_pretrain": TOWERS | {"network_def#image#encoder": RESNET, "network_def#text#encoder": BERT},
    "dcxfm_dense": TOWERS
    | {
        "network_def#dcxfm#image#encoder": RESNET,
        "network_def#dcxfm#text#encoder": BERT,
        "network_def#aggregator": AGGREGATOR,
    },
    "ecamp_classification": VIT,
    "ecamp_segmentation": VIT | {"decoder_widths": [8, 8, 4, 4]},
    "ecamp_detection": VIT | {"detector": {"kind": "retinanet", "out_channels": 16}},
}


@pytest.fixture(scope="session")
def small_bundle(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give a bundle by its name, for inference, with the weights of a network of a few thousand; not to be changed."""
    root = tmp_path_factory.mktemp("small")

    @cache
    def make(name: str) -> Path:
        import torch

        from radbundles.components.hub.workflow import bundle_workflow
        from radbundles.transforms import build_report_tokenizer
        from radbundles.transforms.report_tokenizer import SPECIAL_TOKENS

        source, folder = repository / "bundles" / name, root / name
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.json", "models"))
        shutil.copyfile(source / "configs" / "metadata.json", folder / "configs" / "metadata.json")
        inference = json.loads((source / "configs" / "inference.json").read_text(encoding="utf-8"))
        for key, value in SMALL[name].items():
            *parents, last = key.split("#")
            place = inference
            for parent in parents:
                place = place[parent]
            place[last] = value
        (folder / "configs" / "inference.json").write_text(json.dumps(inference, indent=4), encoding="utf-8")
        (folder / "models").mkdir()
        if "tokenizer" in inference:
            letters = "abcdefghijklmnopqrstuvwxyz"
            pieces = [*SPECIAL_TOKENS, ".", "effusion", *letters, *(f"##{letter}" for letter in letters)]
            vocabulary = {piece: number for number, piece in enumerate(pieces)}
            build_report_tokenizer(vocabulary).save(str(folder / "models" / "tokenizer.json"))
        torch.manual_seed(0)
        workflow = bundle_workflow(folder, ["inference"], device="cpu")
        torch.save(workflow.parser.get_parsed_content("network").state_dict(), folder / "models" / "model.pt")
        return folder

    return make


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that passes for a radiograph."""
    path = tmp_path_factory.mktemp("film") / "film.png"
    pixels = np.random.default_rng(0).integers(0, 256, (130, 120), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
