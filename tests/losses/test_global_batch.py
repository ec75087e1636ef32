# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses and batch normalization of two processes are those of one with both their batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from radbundles.networks import SharedBatchNorm, share_batch_norm

# Each case: a module whose weights get the gradient, and its loss on some of eight samples, of which the first half
# has more known labels, masked words and boxes than the second.
CASES = """
from torch import nn
from radbundles.losses import *
from radbundles.networks import *

generator = torch.Generator().manual_seed(0)
torch.manual_seed(0)

def random(*shape):
    return torch.randn(*shape, generator=generator)

features, unknown = random(8, 5).double(), [-1, -1, -1]
labels = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [-1, 1, -1], unknown, unknown, unknown])
ids = torch.randint(0, 9, (8, 6), generator=generator)
masked = torch.arange(6) < torch.tensor([6, 5, 5, 4, 1, 0, 2, 1])[:, None]
weights, hidden = random(8, 6).abs(), random(8, 6, 5)
images, masks = random(8, 3, 16, 16), random(8, 3, 16, 16) > 0
cells, words = random(2, 8, 5, 3, 3), random(8, 7, 5)
word_mask = torch.arange(7) < torch.tensor([3, 2, 4, 4, 7, 0, 1, 2])[:, None]
boxes = [random(n, 2).abs() * 10 + 4 for n in (2, 1, 3, 0, 0, 0, 0, 0)]
boxes = [torch.cat([corner, corner + 20], dim=1) for corner in boxes]
box_classes = [torch.arange(len(own)) % 2 for own in boxes]
photos = random(8, 3, 64, 64)

def words_of(layer, s):
    length = int(word_mask[s].sum(1).max())  # trimmed, as a batch is
    crops = layer(cells[:, s].movedim(2, -1)).movedim(-1, 2).flatten(0, 1)
    return WordRegionLoss(gather=True)(crops, layer(words[s, :length]), word_mask[s, :length])

def detection(network, s):
    return DetectionObjective(network)({"image": photos[s], "boxes": boxes[s], "box_classes": box_classes[s]})["loss"]

def detector(kind):
    encoder = build_encoder({"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}, image_size=64)
    return build_detector(kind, encoder, 2, image_size=64)

def labeled(loss):
    return nn.Linear(5, 3), lambda m, s: loss(m(features[s].float()), labels[s])

def segmented(loss):
    return nn.Conv2d(3, 3, 3, padding=1), lambda m, s: loss(m(images[s]), masks[s], labels[s])["loss"]

norms = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 7), nn.BatchNorm1d(7)).double()
cases = {
    "batch norm": (norms, lambda m, s: (m(features[s]).sigmoid() ** 3 * features[s].sum(1)[:, None]).mean()),
    "multilabel": labeled(MultiLabelLoss(pos_weight=[1, 2, 3])),
    "multiclass": labeled(MultiClassLoss(weight=[1, 2, 3])),
    "words": (nn.Linear(5, 9), lambda m, s: RebalancedMLMLoss()(m(hidden[s]), ids[s], weights[s], masked[s])),
    "dense": segmented(DenseLoss()),
    "segmentation": segmented(ECAMPSegmentationLoss()),
    "word region": (nn.Linear(5, 5), words_of),
    "retinanet": (detector({"kind": "retinanet", "out_channels": 16}), detection),
    "yolo": (detector({"kind": "yolov3", "widths": [16, 32, 64], "expansion": 4}), detection),
}
"""
# The forward pass of a detector is not its `heads`, so gradients are averaged by hand, as the wrapper does it.
TWO = """
for name, (module, loss) in cases.items():
    value = loss(share_batch_norm(module), slice(4 * rank, 4 * rank + 4))
    value.backward()
    gradients = {key: parameter.grad for key, parameter in module.named_parameters() if parameter.grad is not None}
    for gradient in gradients.values():
        dist.all_reduce(gradient)
        gradient /= 2
    result[name] = {"loss": value.detach(), "gradients": gradients, "buffers": dict(module.named_buffers())}
with torch.no_grad():  # processes that evaluate may have different numbers of batches: nobody waits
    if rank == 0:
        result["alone"] = cases["multilabel"][1](cases["multilabel"][0], slice(0, 4))
"""
NAMES = ["batch norm", "multilabel", "multiclass", "words", "dense", "segmentation", "word region", "retinanet", "yolo"]


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    space: dict[str, Any] = {"torch": torch}
    exec(CASES, space)
    return space


@pytest.fixture(scope="module")
def results(two_processes: Callable[[str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return two_processes(CASES + TWO)


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_gradients_of_both_batches(
    name: str, whole: dict[str, Any], results: list[dict[str, Any]]
) -> None:
    module, loss = whole["cases"][name]
    value = loss(module, slice(0, 8))
    value.backward()
    gradients = {key: parameter.grad for key, parameter in module.named_parameters() if parameter.grad is not None}
    double = next(module.parameters()).dtype == torch.float64
    rtol, atol = (1e-9, 1e-12) if double else (1e-3, 1e-5)
    mean = (results[0][name]["loss"] + results[1][name]["loss"]) / 2
    torch.testing.assert_close(mean, value.detach(), rtol=1e-5, atol=1e-6)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients.values())
    for result in results:
        torch.testing.assert_close(result[name]["gradients"], gradients, rtol=rtol, atol=atol)
        torch.testing.assert_close(result[name]["buffers"], dict(module.named_buffers()), rtol=rtol, atol=atol)


def test_evaluation_waits_for_nobody(whole: dict[str, Any], results: list[dict[str, Any]]) -> None:
    module, loss = whole["cases"]["multilabel"]
    torch.testing.assert_close(results[0]["alone"], loss(module, slice(0, 4)).detach())
    assert "alone" not in results[1]


def test_shared_batch_norm_keeps_parameters_names_and_mode() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4, affine=False)))
    before, image = dict(network.named_parameters()), torch.randn(2, 3, 4, 4)
    keys, alone = list(network.state_dict()), network.eval()(image)
    assert share_batch_norm(network) is network
    shared = [module for module in network.modules() if isinstance(module, SharedBatchNorm)]
    assert len(shared) == 2 and not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert list(network.state_dict()) == keys and not any(module.training for module in shared)
    assert all(parameter is before[key] for key, parameter in network.named_parameters())
    assert torch.equal(network(image), alone)
    norm = nn.BatchNorm1d(3)
    assert list(share_batch_norm(nn.Sequential(norm), share=False).children()) == [norm]
    with pytest.raises(TypeError, match="around"):
        share_batch_norm(nn.BatchNorm1d(3))
