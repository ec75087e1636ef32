# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from radbundles.networks import ResNetEncoder, load_torchvision_resnet

State = dict[str, torch.Tensor]


def torchvision_names(kind: str, blocks: list[int]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's ResNets without classifier, spelled out on their own."""
    expansion, kernels = (4, (1, 3, 1)) if kind == "bottleneck" else (1, (3, 3))
    norm = {"weight", "bias", "running_mean", "running_var"}
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "bn1.num_batches_tracked": ()}
    shapes |= {f"bn1.{name}": (64,) for name in norm}
    inputs = 64
    for stage, count in enumerate(blocks, start=1):
        width = 32 * 2**stage
        for block in range(count):
            place = f"layer{stage}.{block}."
            channels = [inputs] + [width] * (len(kernels) - 1) + [width * expansion]
            convolutions = {
                f"conv{i + 1}": (f"bn{i + 1}", (channels[i + 1], channels[i], k, k)) for i, k in enumerate(kernels)
            }
            if block == 0 and (stage > 1 or inputs != width * expansion):
                convolutions["downsample.0"] = ("downsample.1", (width * expansion, inputs, 1, 1))
            for name, (normalization, shape) in convolutions.items():
                shapes[f"{place}{name}.weight"] = shape
                shapes |= {f"{place}{normalization}.{part}": (shape[0],) for part in norm}
                shapes[f"{place}{normalization}.num_batches_tracked"] = ()
            inputs = width * expansion
    return shapes


def tiny(**options: Any) -> ResNetEncoder:
    torch.manual_seed(0)
    return ResNetEncoder(50, widths=(4, 6, 8, 10), blocks=(2, 1, 1, 1), **options)


@pytest.mark.parametrize(
    ("depth", "kind", "blocks", "parameters"),
    [
        (18, "basic", [2, 2, 2, 2], 11_176_512),
        (34, "basic", [3, 4, 6, 3], 21_284_672),
        (50, "bottleneck", [3, 4, 6, 3], 23_508_032),
    ],
)
def test_names_and_shapes_are_those_of_torchvision(depth: int, kind: str, blocks: list[int], parameters: int) -> None:
    with torch.device("meta"):
        encoder = ResNetEncoder(depth)
    shapes = {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
    assert shapes == torchvision_names(kind, blocks)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters


@pytest.mark.parametrize(("side", "cells"), [(512, 16), (224, 7), (250, 8)])
def test_features_are_32_times_smaller(side: int, cells: int) -> None:
    encoder = tiny(in_channels=1)
    assert encoder.out_channels == 40
    with torch.no_grad():
        assert encoder(torch.rand(1, 1, side, side)).shape == (1, 40, cells, cells)
    with torch.device("meta"):
        assert ResNetEncoder(50)(torch.rand(1, 3, 512, 512)).shape == (1, 2048, 16, 16)


def test_fewer_stages_give_a_finer_grid() -> None:
    encoder = ResNetEncoder(18, in_channels=1, widths=(4, 8))
    with torch.no_grad():
        assert encoder(torch.rand(1, 1, 96, 64)).shape == (1, encoder.out_channels, 12, 8)
    assert not [key for key in encoder.state_dict() if key.startswith(("layer3", "layer4"))]


def test_without_pooling_the_grid_is_twice_as_fine() -> None:
    with torch.no_grad():
        assert tiny(max_pool=False)(torch.rand(1, 3, 128, 96)).shape[2:] == (8, 6)


def test_values_are_those_of_the_published_architecture() -> None:
    """The computation written out: stride 2 in the stem, and in the middle convolution of a bottleneck."""
    encoder = tiny().eval()
    state = encoder.state_dict()
    for key in state:
        if key.endswith("running_var"):
            state[key].uniform_(0.5, 2)
        elif key.endswith("running_mean"):
            state[key].normal_()

    def conv(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        values = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *values)

    image = torch.rand(2, 3, 64, 96)
    x = F.max_pool2d(F.relu(norm(conv(image, "conv1", 2), "bn1")), 3, 2, 1)
    for stage, count in enumerate((2, 1, 1, 1), start=1):
        for block in range(count):
            place, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            y = F.relu(norm(conv(x, place + "conv1"), place + "bn1"))
            y = F.relu(norm(conv(y, place + "conv2", stride), place + "bn2"))
            y = norm(conv(y, place + "conv3"), place + "bn3")
            if block == 0:
                x = norm(conv(x, place + "downsample.0", stride), place + "downsample.1")
            x = F.relu(x + y)
    torch.testing.assert_close(encoder(image), x, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("recomputed", [0, 2])
def test_stages_run_from_fine_to_the_features(recomputed: int) -> None:
    encoder = tiny(recompute_stages=recomputed).eval()
    image = torch.rand(1, 3, 128, 96)
    stages = encoder.stages(image)
    assert [tuple(each.shape[1:]) for each in stages] == [(16, 32, 24), (24, 16, 12), (32, 8, 6), (40, 4, 3)]
    assert encoder.stage_channels == (16, 24, 32, 40)
    assert torch.equal(stages[-1], encoder(image)) and torch.equal(stages[1], encoder.layer2(stages[0]))
    fewer = ResNetEncoder(18, widths=(4, 8))
    assert [each.shape[1] for each in fewer.stages(image)] == list(fewer.stage_channels) == [4, 8]


@pytest.mark.parametrize("stages", [1, 4])
def test_recomputed_stages_change_nothing_but_memory(stages: int) -> None:
    plain, thrifty = tiny(), tiny(recompute_stages=stages)
    image = torch.rand(2, 3, 64, 64)
    kept: list[list[int]] = []
    for encoder in (plain, thrifty):
        sizes: list[int] = []

        def pack(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            features = encoder(image)
        features.square().sum().backward()
        kept.append(sizes)
    assert sum(kept[1]) < 0.6 * sum(kept[0])
    for (name, ours), theirs in zip(plain.named_parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad, msg=name)
    for name, buffer in plain.named_buffers():
        assert torch.equal(thrifty.get_buffer(name), buffer), name  # a batch seen twice is counted once
    assert thrifty.bn1.momentum == 0.1 and thrifty.bn1.num_batches_tracked == 1


def test_channels_lie_last_also_in_copies() -> None:
    encoder = copy.deepcopy(tiny())
    assert encoder.get_parameter("layer1.0.conv2.weight").is_contiguous(memory_format=torch.channels_last)
    assert encoder(torch.rand(2, 3, 64, 64)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_published_weights_load(tmp_path: Path, ending: str) -> None:
    source, target = tiny(), ResNetEncoder(50, widths=(4, 6, 8, 10), blocks=(2, 1, 1, 1))
    state = {key: value.contiguous() for key, value in source.state_dict().items()}
    state |= {"fc.weight": torch.zeros(5, 40), "fc.bias": torch.zeros(5)}
    path = tmp_path / f"resnet.{ending}"
    if ending == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    assert load_torchvision_resnet(target, path) == ["fc.bias", "fc.weight"]
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())
    assert target.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    started = ResNetEncoder(50, widths=(4, 6, 8, 10), blocks=(2, 1, 1, 1), weights=path)
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in started.state_dict().items())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state.pop("layer1.0.bn1.weight"), "1 missing: layer1.0.bn1.weight"),
        (
            lambda state: state.update({"layer9.weight": torch.zeros(1), "fa": torch.zeros(1)}),
            "2 unknown: fa, layer9.weight",
        ),
        (lambda state: state.update({"conv1.weight": torch.zeros(4, 1, 7, 7)}), "1 of another shape: conv1.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, spoil: Callable[[State], Any], message: str) -> None:
    encoder = tiny()
    state = {key: torch.zeros_like(value) for key, value in encoder.state_dict().items()}
    spoil(state)
    torch.save(state, tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match=message):
        load_torchvision_resnet(encoder, tmp_path / "resnet.pth")
    assert encoder.conv1.weight.any()


def test_files_that_do_not_count_batches_load(tmp_path: Path) -> None:
    encoder = tiny()
    state = {key: value for key, value in encoder.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert load_torchvision_resnet(encoder, tmp_path / "old.pth") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 20}, "depth must be one of .* got 20"),
        ({"widths": (4, 8), "blocks": (1,)}, "as many positive numbers"),
        ({"widths": (4,) * 5, "blocks": (1,) * 5}, "up to four"),
        ({"blocks": (1, 1, 0, 1)}, "positive numbers"),
        ({"recompute_stages": 5}, "from 0 to 4, got 5"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNetEncoder(**options)
