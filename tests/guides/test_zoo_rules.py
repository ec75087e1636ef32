# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The calls that MONAI's model zoo makes to admit a bundle, on every bundle with small weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out
from tests.guides.conftest import SMALL


@pytest.fixture(params=SMALL)
def bundle(request: pytest.FixtureRequest, zoo: dict[str, Path]) -> Path:
    return zoo[request.param]


def test_files_and_version_are_there(bundle: Path) -> None:
    for name in ("LICENSE", "configs/metadata.json", "configs/inference.json", "models/model.pt", "docs/README.md"):
        assert (bundle / name).is_file(), name
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["version"] in metadata["changelog"]
    weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert weights and all(isinstance(value, torch.Tensor) for value in weights.values())


def test_metadata_is_valid(bundle: Path, repository: Path) -> None:
    """Against our own schema, which is stricter than the one that the zoo downloads."""
    schema = repository / "components" / "hub" / "metadata.schema.json"
    code = hashlib.md5(schema.read_bytes()).hexdigest()
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(schema), hash_val=code)


def test_network_takes_and_gives_what_the_metadata_says(bundle: Path) -> None:
    """The masks of dcxfm_dense need the prompts of what is asked as well, which MONAI's command cannot pass."""
    prompts = {"prompts": torch.zeros(14, 4, 128)} if bundle.name == "dcxfm_dense" else {}
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        device="cpu",
        extra_forward_args=prompts,
    )


@pytest.mark.filterwarnings("ignore")  # a trace tells of every shape that it takes for a constant
def test_weights_become_torchscript(bundle: Path, tmp_path: Path) -> None:
    """By tracing: our networks hold what TorchScript cannot read, as do those that the zoo excludes from this."""
    if bundle.name == "dcxfm_dense":
        pytest.skip("two inputs, which ckpt_export cannot trace: radbundles export builds the question in")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    image = metadata["network_data_format"]["inputs"]["image"]
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "verify_model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        use_trace=True,
        input_shape=[1, image["num_channels"], *image["spatial_shape"]],
    )
    assert torch.jit.load(str(tmp_path / "verify_model.ts")) is not None
