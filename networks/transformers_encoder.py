# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Image models of the library transformers as encoders of dense features."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from radbundles.networks.pretrained_model import build_model, load_pretrained_model


class TransformersImageEncoder(nn.Module):
    """A vision transformer (ViT, DeiT, BEiT, DINOv2, Swin, ...) or a convolutional model of transformers.

    What precedes the image's cells (class and register tokens) is dropped. Position tables are interpolated to the
    size of the image where the model can do that, so that one encoder takes crops of every size.

    Args:
        source: a configuration with ``model_type`` for an untrained model, a folder with ``config.json`` and weights,
            or the name of a repository on the Hugging Face Hub. No code of a repository is run.
        revision: commit of the repository, 40 hexadecimal digits; needed for a repository and only there.

    Raises:
        ValueError: if a repository is named without a commit, the model takes no images, masks them at random, or
            tells neither ``hidden_size`` nor ``hidden_sizes``.
    """

    def __init__(self, source: Mapping[str, Any] | str | Path, *, revision: str | None = None) -> None:
        super().__init__()
        if isinstance(source, Mapping):
            self.model = build_model(source)
        else:
            self.model = load_pretrained_model(source, revision=revision)
        arguments = inspect.signature(self.model.forward).parameters
        name, config = type(self.model).__name__, self.model.config
        if "pixel_values" not in arguments:
            raise ValueError(f"{name} takes {sorted(arguments)}, no pixel_values")
        if hasattr(config, "mask_ratio"):
            # A ratio of 0 would not do: the model shuffles what it sees.
            raise ValueError(f"{name} hides a random part of each image (mask_ratio {config.mask_ratio}): take a vit")
        for key, parameter in self.model.named_parameters():
            if key.endswith("mask_token"):  # used in masked training alone; a gradient would never come
                parameter.requires_grad_(False)
        self._options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in arguments else {}
        widths = getattr(config, "hidden_size", None) or getattr(config, "hidden_sizes", None)
        if not widths:
            raise ValueError(f"the configuration of {name} has neither hidden_size nor hidden_sizes")
        self.out_channels: int = widths if isinstance(widths, int) else widths[-1]

    @cached_property
    def stride(self) -> int:
        """Pixels of the image that a cell of the features stands for."""
        config = self.model.config
        patch = getattr(config, "patch_size", None)
        if isinstance(patch, int) and not hasattr(config, "depths"):
            return patch
        with torch.device("meta"), torch.no_grad():  # shapes alone, which cost nothing
            twin = TransformersImageEncoder(config.to_dict()).eval()
            return 256 // twin(torch.empty(1, config.num_channels, 256, 256)).shape[-1]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode an image [B, C, H, W] into features [B, out_channels, h, w]."""
        features = self.model(pixel_values=image, **self._options).last_hidden_state
        if features.ndim == 4:  # a convolutional model
            return features
        height, width = self._grid(image.shape[-2], image.shape[-1], features.shape[1])
        cells = features[:, features.shape[1] - height * width :]
        return cells.unflatten(1, (height, width)).movedim(-1, 1)

    def _grid(self, height: int, width: int, tokens: int) -> tuple[int, int]:
        patch = self.model.config.patch_size
        vertical, horizontal = (patch, patch) if isinstance(patch, int) else patch
        if hasattr(self.model.config, "depths"):  # merges patches from stage to stage and pads what does not fit
            height, width = -(-height // vertical), -(-width // horizontal)
            while height * width > tokens:
                height, width = -(-height // 2), -(-width // 2)
        else:
            height, width = height // vertical, width // horizontal
        if height * width > tokens:
            raise ValueError(f"{type(self.model).__name__} gave {tokens} tokens for a grid of {height} x {width} cells")
        return height, width
