# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Both forms of the weights hold the same tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from radbundles.components.publish import write_twin


class Tied(nn.Module):
    """Two names for one parameter, two halves of one buffer, one of them turned; and numbers of other kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight
        table = torch.arange(24.0).reshape(4, 6)
        self.register_buffer("left", table[:, :3])
        self.register_buffer("right", table[:, 3:].T)
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("short", torch.tensor([1.5, float("nan"), -0.0], dtype=torch.bfloat16))
        self.register_buffer("nothing", torch.zeros(0, 3))


def test_shared_and_strided_tensors_come_back_under_every_name(tmp_path: Path) -> None:
    state = Tied().state_dict()
    torch.save(state, tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()
    assert write_twin(tmp_path)
    safe = load_file(tmp_path / "model.safetensors")
    assert safe.keys() == state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(safe[name], tensor, rtol=0, atol=0, equal_nan=True)
    network = Tied()
    network.load_state_dict(safe)
    assert network.head.weight is network.embedding.weight
    assert (tmp_path / "model.pt").read_bytes() == before


def test_model_pt_is_written_from_safetensors(tmp_path: Path) -> None:
    state = {"a.weight": torch.randn(3, 2), "steps": torch.tensor(3)}
    save_file(state, tmp_path / "model.safetensors")
    assert write_twin(tmp_path)
    loaded = torch.load(tmp_path / "model.pt", weights_only=True)
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[name], state[name]) for name in state)


def test_equal_files_are_left_alone(tmp_path: Path) -> None:
    state = {"weight": torch.tensor([1.0, float("nan")])}
    torch.save(state, tmp_path / "model.pt")
    save_file(state, tmp_path / "model.safetensors", metadata={"of": "somebody"})
    before = (tmp_path / "model.safetensors").read_bytes()
    assert write_twin(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("safe", "told"),
    [
        ({"weight": torch.tensor([1.0, 2.5]), "bias": torch.zeros(1)}, "differ in 'weight'"),
        ({"weight": torch.tensor([1.0, 2.0]).half(), "bias": torch.zeros(1)}, "differ in 'weight'"),
        ({"weight": torch.tensor([1.0, 2.0])}, "only models/model.pt holds the tensor 'bias'"),
        (
            {"weight": torch.tensor([1.0, 2.0]), "bias": torch.zeros(1), "more": torch.zeros(1)},
            "only models/model.safetensors holds the tensor 'more'",
        ),
    ],
)
def test_files_that_differ_are_refused(tmp_path: Path, safe: dict[str, torch.Tensor], told: str) -> None:
    torch.save({"weight": torch.tensor([1.0, 2.0]), "bias": torch.zeros(1)}, tmp_path / "model.pt")
    save_file(safe, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"{told}.*remove the older"):
        write_twin(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"model": {"weight": torch.zeros(1)}, "epoch": 3}, "holds a dict under 'model': save network.state_dict"),
        ({}, "holds no tensors"),
        ([torch.zeros(1)], "holds a list, not a dict"),
        (nn.Linear(1, 1), "cannot be read"),
    ],
)
def test_what_is_no_bare_state_dict_is_refused(tmp_path: Path, content: object, told: str) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=told):
        write_twin(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_without_weights_nothing_is_written(tmp_path: Path) -> None:
    assert not write_twin(tmp_path) and not list(tmp_path.iterdir())
