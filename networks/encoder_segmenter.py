# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks of structures out of the features of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Literal

import torch
from torch import nn

from radbundles.networks.progressive_decoder import ProgressiveDecoder
from radbundles.networks.resnet_encoder import ResNetEncoder
from radbundles.networks.unetr_decoder import UNETRDecoder
from radbundles.networks.vit_encoder import ViTEncoder

# Channels at full resolution; each coarser step has twice as many.
_FINEST = {"progressive": 64, "unetr": 16}


class EncoderSegmenter(nn.Module):
    """An encoder and a decoder: logits of structures at the size of the image.

    Source: segmentation of ECAMP with ``decoder="progressive"`` and ``trained="decoder"``: the encoder is frozen. Of
    91.48 million parameters with ViT-B/16 and one structure, 5.68 million are trained.

    ``decoder="unetr"`` also looks at the image and at what the encoder had on the way: the hidden states of a
    :class:`ViTEncoder` after a quarter, a half and three quarters of its blocks (at a patch size of 16), or the stages
    of a :class:`ResNetEncoder`, which makes it a U-Net. Thin structures such as vessels need that.

    Args:
        encoder: of :func:`build_encoder`, with the attributes ``out_channels`` and ``stride``, a power of 2.
        num_classes: number of structures.
        decoder: "progressive" (:class:`ProgressiveDecoder`) or "unetr" (:class:`UNETRDecoder`).
        trained: "all", or "decoder" to leave the encoder as it is, in evaluation mode.
        widths: channels after each doubling of the grid, from coarse to fine, log2(stride) of them; by default they
            halve down to 64 ("progressive": 512, 256, 128, 64 at a stride of 16) or to 16 ("unetr").
        shared: whether structures share one progressive decoder; official for several structures: no.

    Raises:
        ValueError: if an argument is unknown, or the decoder does not fit the encoder.
    """

    def __init__(
        self,
        encoder: nn.Module,
        num_classes: int,
        *,
        decoder: Literal["progressive", "unetr"] = "progressive",
        trained: Literal["all", "decoder"] = "all",
        widths: Sequence[int] | None = None,
        shared: bool = True,
    ) -> None:
        super().__init__()
        if decoder not in _FINEST:
            raise ValueError(f'decoder must be "progressive" or "unetr", got {decoder!r}')
        if trained not in ("all", "decoder"):
            raise ValueError(f'trained must be "all" or "decoder", got {trained!r}')
        channels: int = encoder.out_channels  # type: ignore[assignment]
        stride: int = encoder.stride  # type: ignore[assignment]
        doublings = stride.bit_length() - 1
        if stride < 2 or 2**doublings != stride:
            raise ValueError(f"the stride of the encoder must be a power of 2 for a decoder that doubles, got {stride}")
        if widths is None:
            widths = [_FINEST[decoder] * 2**step for step in reversed(range(doublings))]
        if len(widths) != doublings:
            raise ValueError(f"a stride of {stride} needs {doublings} widths, got {list(widths)}")
        self.trained = trained
        self.encoder = encoder
        self.decoder: nn.Module
        if decoder == "progressive":
            self.decoder = ProgressiveDecoder(channels, num_classes, widths=widths, shared=shared)
        elif not shared:
            raise ValueError("only the progressive decoder can be had once for each structure: shared must be true")
        else:
            self.decoder = UNETRDecoder(
                channels, num_classes, stride=stride, skips=_skips(encoder, doublings), widths=widths
            )
        if trained == "decoder":
            self.encoder.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> EncoderSegmenter:
        """Set the mode; an encoder that is frozen stays in evaluation mode."""
        super().train(mode)
        if self.trained == "decoder":
            self.encoder.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [B, num_classes, S, S] of normalized images [B, C, S, S].

        Raises:
            ValueError: if S is not a multiple of the encoder's stride.
        """
        if any(side % self.encoder.stride for side in image.shape[2:]):  # type: ignore[operator]
            raise ValueError(f"sides must be multiples of {self.encoder.stride}, got {tuple(image.shape[2:])}")
        if isinstance(self.decoder, UNETRDecoder):
            features, skips = _features(self.encoder, image, len(self.decoder.steps))
            return self.decoder(features, skips)
        return self.decoder(self.encoder(image))


def _skips(encoder: nn.Module, doublings: int) -> list[tuple[int, int]]:
    """Channels and stride of the skips that :func:`_features` gives, from coarse to fine."""
    if isinstance(encoder, ViTEncoder):
        return [(encoder.out_channels, encoder.stride)] * (doublings - 1) + [(encoder.in_channels, 1)]
    if isinstance(encoder, ResNetEncoder):
        earlier = encoder.stage_channels[-2::-1]
        stages = [(channels, encoder.stride // 2**step) for step, channels in enumerate(earlier, start=1)]
        return stages + [(encoder.conv1.in_channels, 1)] * (doublings - len(stages))
    raise ValueError(
        f"the decoder unetr needs the hidden states of a ViTEncoder or the stages of a ResNetEncoder, which "
        f"{type(encoder).__name__} does not give: use the progressive one"
    )


def _features(encoder: nn.Module, image: torch.Tensor, doublings: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The deepest features, and a skip for each doubling."""
    if isinstance(encoder, ViTEncoder):
        layers = [ceil(len(encoder.blocks) * part / doublings) for part in range(doublings, 0, -1)]
        deepest, *hidden = encoder.hidden(image, layers)
        return deepest, [*hidden, image]
    assert isinstance(encoder, ResNetEncoder)
    deepest, *stages = encoder.stages(image)[::-1]
    return deepest, stages + [image] * (doublings - len(stages))
