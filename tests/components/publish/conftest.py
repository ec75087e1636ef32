# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle with weights, as a training run packs it, of a network of some thousand numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

CLASSES = ["Edema", "Pleural Effusion"]
ENCODER = {"kind": "vit", "patch_size": 16, "dim": 16, "depth": 1, "heads": 2}


def edit_json(path: Path, **values: Any) -> None:
    """Put values into a config."""
    content = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def content_of(folder: Path) -> dict[str, bytes]:
    """Bytes of all files of a folder, without what the Hub's client keeps beside them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".gitattributes" and ".cache" not in path.parts
    }


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The bundle, made once; trained on made data, as its metadata says."""
    import torch

    from radbundles.components.hub import pack_run
    from radbundles.networks import EncoderClassifier, build_encoder

    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    network = EncoderClassifier(build_encoder(ENCODER, image_size=32), num_classes=len(CLASSES))
    torch.save(network.state_dict(), folder / "best.pt")
    out = pack_run(
        bundle_root=repository / "bundles" / "ecamp_classification",
        out=folder / "bundle",
        weights=folder / "best.pt",
        settings={"image_size": 32, "encoder": ENCODER},
        classes=CLASSES,
    )
    edit_json(out / "configs" / "metadata.json", data_sets={"trained_on": []})
    return out


@pytest.fixture
def trained(packed: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be changed."""
    return Path(shutil.copytree(packed, tmp_path / "bundle"))
