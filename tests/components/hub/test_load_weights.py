# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from radbundles.components.hub import literal, load_weights


def saved(path: Path, network: nn.Module) -> Path:
    torch.save(network.state_dict(), path)
    return path


def test_weights_of_either_kind_are_loaded(tmp_path: Path) -> None:
    source = nn.Linear(3, 2)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    for path in (saved(tmp_path / "model.pt", source), tmp_path / "model.safetensors"):
        target = nn.Linear(3, 2)
        load_weights(target, path)
        assert torch.equal(target.weight, source.weight)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(3, 2, bias=False), r"1 tensors are missing: bias"),
        (nn.Linear(4, 2), r"have another shape: weight \(2, 4\) for \(2, 3\)"),
        (nn.Sequential(nn.Linear(3, 2)), r"2 tensors are missing: weight, bias; 2 tensors are not of this network: 0"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_loaded(tmp_path: Path, network: nn.Module, message: str) -> None:
    target = nn.Linear(3, 2)
    before = target.weight.clone()
    with pytest.raises(ValueError, match=message):
        load_weights(target, saved(tmp_path / "model.pt", network))
    assert torch.equal(target.weight, before)


def test_a_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint of tensors"):
        load_weights(nn.Linear(3, 2), tmp_path / "model.pt")
    with pytest.raises(FileNotFoundError, match="no weights at"):
        load_weights(nn.Linear(3, 2), tmp_path / "none.pt")


@pytest.mark.parametrize("text", ["$1 + 1", "@bundle_root", "%a#b", "a #1 50% b@c", 'it\'s \\@ "x"', "肺", "@##a::b"])
def test_a_users_text_passes_through_a_config_unchanged(text: str) -> None:
    from monai.bundle import ConfigParser

    parser = ConfigParser({"bundle_root": "here", "a": {"b": 1}})
    parser.update({"phrases": literal([text, {"path": text}, None, 0.5])})
    assert parser.get_parsed_content("phrases") == [text, {"path": text}, None, 0.5]
