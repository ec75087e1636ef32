# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that are asked in words, with the question built in: images in, maps out."""

from __future__ import annotations

from copy import copy

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.components.zero_shot import DenseZeroShot, ZeroShotInferer, smoothing_matrix
from radbundles.components.zero_shot.zero_shot import MAP_TEMPERATURE
from radbundles.networks import prompt_channels


class AskedTowers(nn.Module):
    """An image tower and the vectors of phrases and classes: the maps of :class:`ZeroShot` for one question.

    The text tower, the tokenizer and the prompt table are left behind.

    Args:
        inferer: knows the network and the question.
        image_size: side S of the image that it is built for, in pixels.
    """

    texts: torch.Tensor
    denials: torch.Tensor | None
    down: torch.Tensor
    across: torch.Tensor

    def __init__(self, inferer: ZeroShotInferer, image_size: int) -> None:
        super().__init__()
        zero_shot = inferer.zero_shot
        asked = zero_shot.ask(inferer.phrases, inferer.classes, inferer.negatives)
        self.image = zero_shot.image
        self.compare_cells = zero_shot.compare_cells
        self.phrases = asked.first
        self.register_buffer("texts", (asked.mean @ asked.vectors).clone())
        denials = None if asked.denied is None else (asked.class_mean @ asked.denied).clone()
        self.register_buffer("denials", denials)
        cells = zero_shot.encode_images(torch.zeros(1, zero_shot.input.channels, image_size, image_size))
        for name, length in zip(("down", "across"), cells.shape[2:], strict=True):
            self.register_buffer(name, smoothing_matrix(length, zero_shot.smoothing).clone())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Maps [B, N, h, w] of images [B, C, S, S], those of the phrases before those of the classes."""
        cells = self.image(image)
        maps = self.compare_cells(cells, self.texts)
        if self.denials is not None:
            against = maps[:, self.phrases :] - self.compare_cells(cells, self.denials)
            maps = torch.cat([maps[:, : self.phrases], torch.sigmoid(against / MAP_TEMPERATURE)], dim=1)
        return self.down @ maps @ self.across.T


class AskedAggregation(nn.Module):
    """Cost aggregation with the prompts of phrases and classes: the logits of :class:`DenseZeroShot` for one question.

    The text tower, the tokenizer and the prompt table are left behind. Every phrase is aggregated alone, the classes
    together, as there.

    Args:
        inferer: knows the network and the question.
    """

    prompts: torch.Tensor

    def __init__(self, inferer: ZeroShotInferer) -> None:
        super().__init__()
        zero_shot = inferer.zero_shot
        assert isinstance(zero_shot, DenseZeroShot)
        network = zero_shot.network
        asked = zero_shot.ask(inferer.phrases, inferer.classes, inferer.negatives)
        prompts = prompt_channels(asked.vectors, asked.counts, network.aggregator.prompt_channels)  # [N, C, D]
        # The text tower hangs on the network: what is kept is named, so that the file does not hold it.
        self.image, self.encode, self.phrases = network.image, network.encode_image, asked.first
        self.aggregator = copy(network.aggregator)
        self.aggregator.class_chunk = len(prompts)  # chosen by the size of the batch, the graph would be of one size
        self.register_buffer("prompts", prompts.clone())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [B, N, S, S] of images [B, C, S, S], those of the phrases before those of the classes."""
        features = self.encode(image)
        groups = [self.prompts[place : place + 1] for place in range(self.phrases)]
        if self.phrases < len(self.prompts):
            groups.append(self.prompts[self.phrases :])
        maps = [self.aggregator(features.cells, group, features.guidance) for group in groups]
        return F.interpolate(torch.cat(maps, dim=1), size=image.shape[2:], mode="bilinear", align_corners=False)
