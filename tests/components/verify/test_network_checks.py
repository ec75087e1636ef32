# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.components.verify.conftest import BundleCopy

from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.verify import Finding

Find = Callable[..., list[Finding]]
PRED = "network_data_format#outputs#pred"


def pred(metadata: dict[str, Any]) -> Any:
    return metadata["network_data_format"]["outputs"]["pred"]


@pytest.fixture
def state(runnable: BundleCopy) -> dict[str, torch.Tensor]:
    """Weights of the network, made small in ``inference.json`` itself: a bundle with weights keeps its size."""
    encoder = {"kind": "vit", "patch_size": 32, "dim": 16, "depth": 1, "heads": 2}
    runnable.edit("inference", lambda content: content.update(encoder=encoder))
    (runnable.folder / "models").mkdir()
    network = bundle_workflow(runnable.folder, ["inference"]).parser.get_parsed_content("network_def")
    return dict(network.state_dict())


def test_bundle_without_weights_passes(found: Find) -> None:
    assert found("V5", "V6", "V7") == []


def test_channels_that_metadata_does_not_have_are_told(runnable: BundleCopy, found: Find) -> None:
    runnable.edit("metadata", lambda content: pred(content).update(num_channels=13))
    [finding] = found("V5")
    assert finding.file == "configs/metadata.json" and "14" in finding.message and "13" in finding.message


def test_shape_that_metadata_does_not_have_is_told(runnable: BundleCopy, found: Find) -> None:
    """MONAI's own check passes here."""
    runnable.edit("metadata", lambda content: pred(content).update(spatial_shape=[7, 7]))
    [finding] = found("V5")
    assert (finding.key, finding.value) == (f"{PRED}#spatial_shape", "[7, 7]") and "[]" in finding.message


def test_network_that_cannot_be_built_is_told_by_each_check_that_needs_it(runnable: BundleCopy, found: Find) -> None:
    runnable.edit("inference", lambda content: content["network_def"].update(classes=3))
    findings = found("V5", "V7")
    assert [finding.check for finding in findings] == ["V5", "V7"]
    assert {(finding.file, finding.key) for finding in findings} == {("configs/inference.json", "network_def")}
    assert "classes" in findings[0].message


def test_network_that_cannot_be_exported_is_told(runnable: BundleCopy, found: Find) -> None:
    """Its answer depends on what the values of the image are, which no program of ``torch.export`` can follow."""
    branch = "tests.components.verify.test_network_checks.branching"
    runnable.edit("inference", lambda content: content.update(network_def={"_target_": branch}, network="@network_def"))
    runnable.edit("verify", lambda content: content["network"].clear())
    [finding] = found("V6")
    assert finding.check == "V6" and finding.file == "configs/inference.json" and "torch" in finding.message


def branching() -> torch.nn.Module:
    class Branching(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(1, 14)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            mean = image.mean((1, 2, 3))[:, None]
            return self.head(mean if mean.sum() > 0 else -mean)

    return Branching()


def test_own_weights_pass_in_both_forms(runnable: BundleCopy, state: Any, found: Find) -> None:
    torch.save(state, runnable.folder / "models" / "model.pt")
    save_file(state, runnable.folder / "models" / "model.safetensors")
    assert found("V5", "V7") == []


@pytest.mark.parametrize(
    ("change", "key", "told"),
    [
        (lambda state: state.pop("head.bias"), "head.bias", "1 tensor is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra", "1 tensor is not of the network"),
        (lambda state: state.update({"head.bias": torch.zeros(3)}), "head.bias", "another shape"),
    ],
)
def test_tensors_that_do_not_fit_are_told(
    runnable: BundleCopy, state: dict[str, Any], found: Find, change: Any, key: str, told: str
) -> None:
    change(state)
    torch.save(state, runnable.folder / "models" / "model.pt")
    [finding] = found("V7")
    assert (finding.file, finding.key) == ("models/model.pt", key) and told in finding.message


def test_two_files_that_differ_are_told(runnable: BundleCopy, state: dict[str, Any], found: Find) -> None:
    torch.save(state, runnable.folder / "models" / "model.pt")
    save_file({**state, "head.bias": state["head.bias"] + 1}, runnable.folder / "models" / "model.safetensors")
    [finding] = found("V7")
    assert finding.key == "head.bias" and "unlike models/model.safetensors" in finding.message


class Evil:
    """Leaves a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_files_that_are_no_weights_are_told_and_not_run(
    runnable: BundleCopy, state: dict[str, Any], found: Find, tmp_path: Path
) -> None:
    marker = tmp_path / "was run"
    runnable.write("models/model.pt", pickle.dumps({"head.bias": Evil(marker)}, protocol=2))
    [finding] = found("V7")
    assert finding.file == "models/model.pt" and "cannot be read" in finding.message and "state_dict" in finding.mend
    assert not marker.exists()


def test_weights_inside_of_a_checkpoint_are_told(runnable: BundleCopy, state: dict[str, Any], found: Find) -> None:
    torch.save({"network": state, "epoch": 3}, runnable.folder / "models" / "model.pt")
    [finding] = found("V7")
    assert "no bare state dict" in finding.message and "network" in finding.message
