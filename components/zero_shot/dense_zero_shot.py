# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask a network with cost aggregation in words: masks of phrases and classes, whether it has seen such or not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from monai.networks.utils import eval_mode
from tokenizers import Tokenizer

from radbundles.components.zero_shot.asked import Asked
from radbundles.components.zero_shot.locate import ScoreRule
from radbundles.components.zero_shot.prompt_table import Prompts, PromptTable
from radbundles.components.zero_shot.zero_shot import ZeroShot
from radbundles.networks import DCXFMDense, ImageFeatures, prompt_channels

# Cells of all images and phrases that are aggregated at a time: 32 grids of 16 x 16.
_CELLS = 2**13


class DenseZeroShot(ZeroShot):
    """Zero-shot use of DCXFM's second stage.

    Source: DCXFM, evaluation of stage 2. The classes of one question are aggregated together: each map depends on
    which others are asked for, as in training. A phrase is aggregated alone, so that its map does not depend on the
    other phrases.

    Deviations: logits are interpolated and freed of the padding before the sigmoid, not after it (quirk Q26); all
    prompts of a class are spread over the channels in place of four drawn at random (quirk Q15).

    Values of maps are **scores** from 0 to 1 that nobody has calibrated. ``similarity`` and :meth:`classify` are the
    cosines of the towers; the aggregation has no part in them. There is no comparison with denials.

    Args:
        network: its image tower, aggregation and text tower are put into eval mode while they are used.
        tokenizer: of the text tower, or what :func:`~radbundles.transforms.load_text_tokenizer` loads one from.
        size: side of the square that images are fitted into, in pixels.
        channels: channels of the network's image; a gray image is repeated.
        prompts: table of classes, see :func:`prompt_table`.
        style: templates of the prompts in place of the table's own.
        max_length: longest text in tokens.
        words: which tokens are words of a text, see :class:`~radbundles.transforms.TokenizeSentenced`.
        threshold: least score of a mask, between 0 and 1.
        min_area: least share of the image that a box's component must have; masks keep what is smaller.
        own_terms: take a class that the table does not have as its own term, in place of an error.
        amp: run the network under bfloat16 autocast.
        device: where to run; the network is moved there. By default where it is.
        cache_size: texts whose vectors are kept.

    Raises:
        ValueError: if a value is out of range.
    """

    measure = "score"
    logits = True
    network: DCXFMDense

    def __init__(
        self,
        network: DCXFMDense,
        *,
        tokenizer: Tokenizer | str | os.PathLike[str],
        size: int = 512,
        channels: int = 3,
        prompts: str | os.PathLike[str] | PromptTable = "chest",
        style: str | None = None,
        max_length: int = 77,
        words: str = "pieces",
        threshold: float = 0.5,
        min_area: float = 0.001,
        own_terms: bool = False,
        amp: bool = False,
        device: torch.device | str | None = None,
        cache_size: int = 4096,
    ) -> None:
        super().__init__(
            network,
            tokenizer=tokenizer,
            size=size,
            channels=channels,
            prompts=prompts,
            style=style,
            max_length=max_length,
            words=words,
            own_terms=own_terms,
            amp=amp,
            device=device,
            cache_size=cache_size,
        )
        self.boxes = ScoreRule(threshold=threshold, min_area=min_area)

    def features(self, images: torch.Tensor, network: Any = None) -> ImageFeatures:
        """Encode images [B, C, size, size] in the mode and the precision that the caller has set."""
        cells, guidance = (self.network if network is None else network).encode_image(images)
        return ImageFeatures(cells.float(), tuple(level.float() for level in guidance))

    def class_prompts(self, classes: Sequence[str], *, negatives: bool = False) -> list[Prompts]:
        """Return the sentences of classes; there are no negatives."""
        if negatives:
            raise ValueError("cost aggregation does not compare with denials: ask without negatives")
        return super().class_prompts(classes)

    def _maps(self, images: ImageFeatures, asked: Asked) -> torch.Tensor:
        """Logits [B, N, 4h, 4w], those of the phrases first."""
        channels = prompt_channels(asked.vectors, asked.counts, self.network.aggregator.prompt_channels)  # [N, C, D]
        alone, together = channels[: asked.first], channels[asked.first :]
        B, _, h, w = images.cells.shape
        maps = []
        with eval_mode(self.network.aggregator), self._autocast() if self.amp else nullcontext():
            if len(alone):  # an empty tensor would split into one empty part
                parts = alone.split(max(1, _CELLS // (B * h * w)))
                maps += [self._aggregate_alone(images, part) for part in parts]
            if len(together):
                maps.append(self.network.aggregate(images, together))
        return torch.cat(maps, dim=1)

    def _aggregate_alone(self, images: ImageFeatures, phrases: torch.Tensor) -> torch.Tensor:
        """Logits [B, P, 4h, 4w] of phrases [P, C, D]: each pair of image and phrase is an image with one class."""
        B, P = len(images.cells), len(phrases)
        pairs = ImageFeatures(
            images.cells.repeat_interleave(P, dim=0),
            tuple(level.repeat_interleave(P, dim=0) for level in images.guidance),
        )
        return self.network.aggregate(pairs, phrases[:, None].repeat(B, 1, 1, 1)).squeeze(1).unflatten(0, (B, P))
