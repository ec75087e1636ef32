# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cost aggregation: from similarities of cells and prompts to the logits of masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.class_aggregation import ClassAggregation
from radbundles.networks.cost_volume import cost_volume
from radbundles.networks.spatial_aggregation import SpatialAggregation
from radbundles.networks.upsampling_decoder import UpsamplingDecoder

# Values of the decoder's largest feature maps at a time where no gradient is needed: 32 MiB in float32.
_CHUNK_VALUES = 2**23


class AggregationLayer(nn.Module):
    """Aggregation over the places of each class's map, then over the classes of each place.

    Args:
        spatial: the first.
        classes: the second.
    """

    def __init__(self, spatial: SpatialAggregation, classes: ClassAggregation) -> None:
        super().__init__()
        self.spatial = spatial
        self.classes = classes

    def forward(
        self, maps: torch.Tensor, appearance: torch.Tensor | None, text: torch.Tensor | None, chunk: int
    ) -> torch.Tensor:
        """Aggregate maps [B, T, dim, h, w]; ``chunk`` classes at a time in the spatial part."""
        return self.classes(_class_by_class(partial(self.spatial, guidance=appearance), maps, chunk), text)


class CostAggregator(nn.Module):
    """Aggregates the similarities of an image's cells and the prompts of any classes into logits of masks.

    Cost volume, embedding, layers of spatial and class aggregation, decoder. No part depends on which classes there
    are or how many; through the class aggregation, each sees the others.

    Source: DCXFM, stage 2 (``vitb_r101_384.yaml``; the file name is misleading: the defaults here are its values);
    Cho et al., "CAT-Seg: Cost Aggregation for Open-Vocabulary Semantic Segmentation", CVPR 2024. Guidance is part of
    the official code, but off in the published configuration.

    Args:
        dim: channels of the maps.
        depth: layers of spatial and class aggregation.
        heads: of both attentions, a divisor of dim.
        window: side of the windows of the spatial aggregation, in cells.
        pooling: side of the squares of cells that share a class aggregation, or rows and columns.
        attention: of the class aggregation, "linear" or "full".
        prompt_channels: prompts of a class.
        decoder_widths: channels after the two up-sampling steps.
        text_dim: width of the prompts, if their mean is to guide the class aggregation; 0: it does not.
        text_width: width to which that is projected.
        appearance_dim: channels of the image features that guide the spatial aggregation; 0: none.
        appearance_width: channels to which they are projected.
        decoder_dims: channels of the image features that guide the steps of the decoder; 0: none.
        decoder_guidance_widths: channels to which they are projected.
        class_chunk: classes that go through embedding, spatial aggregation and decoder at a time when no gradient is
            needed, so that memory stays bounded; the results are the same. None: as many as 32 MiB of the largest
            feature maps hold.

    Raises:
        ValueError: if sizes do not fit each other.
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        depth: int = 1,
        heads: int = 4,
        window: int = 16,
        pooling: int | tuple[int, int] = 2,
        attention: Literal["linear", "full"] = "linear",
        prompt_channels: int = 4,
        decoder_widths: Sequence[int] = (32, 16),
        text_dim: int = 0,
        text_width: int = 0,
        appearance_dim: int = 0,
        appearance_width: int = 0,
        decoder_dims: Sequence[int] = (0, 0),
        decoder_guidance_widths: Sequence[int] = (0, 0),
        class_chunk: int | None = None,
    ) -> None:
        super().__init__()
        pairs = (
            ("text", text_dim, text_width),
            ("appearance", appearance_dim, appearance_width),
            *zip(("decoder 1", "decoder 2"), decoder_dims, decoder_guidance_widths, strict=True),
        )
        for name, given, projected in pairs:
            if (given > 0) != (projected > 0) or min(given, projected) < 0:
                raise ValueError(
                    f"{name} guidance needs a width and one to project to, or 0 twice: {given}, {projected}"
                )
        if depth < 1:
            raise ValueError(f"depth must be 1 or more, got {depth}")
        if class_chunk is not None and class_chunk < 1:
            raise ValueError(f"class_chunk must be 1 or more, got {class_chunk}")
        self.prompt_channels = prompt_channels
        self.class_chunk = class_chunk
        self.guidance_dims = (appearance_dim, *decoder_dims)
        """Channels of the guidance at the grid of the cells, twice and four times that; 0: not used."""
        self.embedding = nn.Conv2d(prompt_channels, dim, 7, padding=3)
        self.layers = nn.ModuleList(
            AggregationLayer(
                SpatialAggregation(dim, heads=heads, window=window, appearance_dim=appearance_width),
                ClassAggregation(dim, heads=heads, pooling=pooling, attention=attention, text_dim=text_width),
            )
            for _ in range(depth)
        )
        self.decoder = UpsamplingDecoder(dim, widths=decoder_widths, guidance_dims=decoder_guidance_widths)
        self.text_projection = nn.Linear(text_dim, text_width) if text_dim else None
        self.guidance_projections = nn.ModuleList(
            nn.Conv2d(given, projected, 3, padding=1) if given else nn.Identity()
            for given, projected in zip(self.guidance_dims, (appearance_width, *decoder_guidance_widths), strict=True)
        )

    def forward(
        self, cells: torch.Tensor, prompts: torch.Tensor, guidance: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Aggregate.

        Args:
            cells: of images, [B, D, h, w].
            prompts: of classes, [T, prompt_channels, D], or those of each image, [B, T, prompt_channels, D].
            guidance: image features [B, channels, ...] at the grid of the cells, twice and four times that, as far as
                ``guidance_dims`` asks for them.

        Returns:
            Logits [B, T, 4h, 4w], float32.

        Raises:
            ValueError: if prompts or guidance do not fit.
        """
        if prompts.ndim < 3 or prompts.shape[-2] != self.prompt_channels or not prompts.shape[-3]:
            raise ValueError(
                f"prompts [T, {self.prompt_channels}, D] of one class or more are needed, got {tuple(prompts.shape)}"
            )
        B, T, h, w = cells.shape[0], prompts.shape[-3], *cells.shape[2:]
        appearance, *finer = self._project(guidance, h, w)
        text = self._project_text(prompts)
        chunk = self._chunk(B, T, h, w)
        maps = _class_by_class(self._embed, cost_volume(cells, prompts), chunk)  # [B, T, C, h, w] -> [B, T, dim, h, w]
        for layer in self.layers:
            maps = layer(maps, appearance, text, chunk)
        return _class_by_class(partial(self.decoder, guidance=finer), maps, chunk).squeeze(2)

    def _embed(self, costs: torch.Tensor) -> torch.Tensor:
        # Channels last from here on: what a convolution sees as a map is rows of tokens to an attention.
        return self.embedding(costs).contiguous(memory_format=torch.channels_last)

    def _chunk(self, B: int, T: int, h: int, w: int) -> int:
        if torch.is_grad_enabled():  # everything is kept for the backward pass anyway
            return T
        widest = max(2 * 2 * self.embedding.out_channels, 4 * 4 * self.decoder.step1.conv1.out_channels)
        return self.class_chunk or max(1, _CHUNK_VALUES // (B * h * w * widest))

    def _project(self, guidance: Sequence[torch.Tensor], h: int, w: int) -> list[torch.Tensor | None]:
        """What of the guidance is used, projected; one entry each for the spatial aggregation and the two steps."""
        projected: list[torch.Tensor | None] = []
        for number, (projection, channels) in enumerate(
            zip(self.guidance_projections, self.guidance_dims, strict=True)
        ):
            if not channels:
                projected.append(None)
                continue
            expected = (channels, h * 2**number, w * 2**number)
            shape = tuple(guidance[number].shape[1:]) if number < len(guidance) else None
            if shape != expected:
                raise ValueError(f"guidance {number} must be of the shape {expected} after the batch, got {shape}")
            projected.append(F.relu(projection(guidance[number])))
        return projected

    def _project_text(self, prompts: torch.Tensor) -> torch.Tensor | None:
        if self.text_projection is None:
            return None
        mean = F.normalize(prompts.mean(-2), dim=-1)  # [T, D] or [B, T, D]
        return F.relu(self.text_projection(mean if mean.ndim == 3 else mean[None]))


def _class_by_class(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, chunk: int) -> torch.Tensor:
    """Apply a function of maps [N, ...] to maps of classes [B, T, ...], so many classes at a time."""
    B, T = x.shape[:2]
    if chunk >= T:
        return function(x.flatten(0, 1)).unflatten(0, (B, T))
    result: torch.Tensor | None = None
    for start in range(0, T, chunk):
        part = function(x[:, start : start + chunk].flatten(0, 1)).unflatten(0, (B, -1))
        if result is None:  # channels last, as the parts
            _, _, channels, h, w = part.shape
            result = part.new_empty(B, T, h, w, channels).movedim(-1, 2)
        result[:, start : start + chunk] = part
    assert result is not None
    return result
