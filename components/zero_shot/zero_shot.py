# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask a network in words: embed, ground, segment and classify without training for it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from monai.networks.utils import eval_mode
from tokenizers import Tokenizer
from torch import nn

from radbundles.components.zero_shot.asked import Asked
from radbundles.components.zero_shot.encode_texts import encode_texts
from radbundles.components.zero_shot.input_image import ImageSource, InputImage
from radbundles.components.zero_shot.locate import BoxRule, ScoreRule, locate
from radbundles.components.zero_shot.prompt_table import Prompts, PromptTable, prompt_table
from radbundles.components.zero_shot.results import Grounding, ImageEmbedding, Segmentation
from radbundles.components.zero_shot.similarity import cosine_maps, pool_cells, share_maps, smooth_maps
from radbundles.components.zero_shot.text_cache import TextCache
from radbundles.networks import ImageFeatures
from radbundles.transforms import FittedFrame, load_text_tokenizer

MAP_TEMPERATURE = 0.5
"""Of a class against its denial, on maps (DCXFM, zero-shot segmentation)."""
SCORE_TEMPERATURE = 0.2
"""The same for whole images (DCXFM, zero-shot classification)."""


class Comparison(NamedTuple):
    """Images against queries, the phrases before the classes.

    ``maps`` [B, N, h, w] lie over the fitted square, smoothed cosines or the logits of :class:`DenseZeroShot`;
    ``similarity`` [B, N] is with the whole image.
    """

    maps: torch.Tensor
    similarity: torch.Tensor


class ZeroShot:
    """Zero-shot use of an image tower and a text tower that share one space.

    Source: DCXFM, evaluation of stage 1: phrase grounding, zero-shot segmentation and classification. Deviations:
    texts have length 1, so that a map holds cosines and can be compared with another; all terms of a class are used
    in place of four drawn at random (quirk Q15); phrases are cut at ``max_length`` (quirk Q40); negative prompts are
    built where they are asked for (quirk Q41).

    Values are similarities. They are not probabilities, and what is high for one phrase may be low for another.

    Args:
        network: with the towers ``image``, images [B, C, H, W] to cells [B, D, h, w], and ``text``, ids, attention mask
            and word mask, each [N, L], to words [N, L, D] and sentences [N, D], such as
            :class:`radbundles.networks.DCXFM`. Put into eval mode while it is used and left as it was.
        tokenizer: of the text tower, or what :func:`~radbundles.transforms.load_text_tokenizer` loads one from.
        size: side of the square that images are fitted into, in pixels.
        channels: channels of the network's image; a gray image is repeated.
        prompts: table of classes, see :func:`prompt_table`.
        style: templates of the prompts in place of the table's own.
        maps: what a map holds: ``"cosine"`` of cell and text, as DCXFM, or ``"share"`` of the cell in the similarity
            of the whole image, see :func:`share_maps`.
        smoothing: standard deviation in cells of the Gaussian that maps are smoothed with.
        max_length: longest text in tokens.
        words: which tokens are words of a text, see :class:`~radbundles.transforms.TokenizeSentenced`.
        boxes: what of a map is boxed and counts as its mask.
        own_terms: take a class that the table does not have as its own term, in place of an error.
        amp: run the towers under bfloat16 autocast.
        device: where to run; the network is moved there. By default where it is.
        cache_size: texts whose vectors are kept.

    Raises:
        AttributeError: if the network lacks a tower.
        ValueError: if a value is out of range.
    """

    measure = "cosine"
    """What the values of maps are."""
    logits = False
    """Whether :meth:`compare` gives the logits of these values."""

    def __init__(
        self,
        network: nn.Module,
        *,
        tokenizer: Tokenizer | str | os.PathLike[str],
        size: int = 512,
        channels: int = 3,
        prompts: str | os.PathLike[str] | PromptTable = "chest",
        style: str | None = None,
        maps: Literal["cosine", "share"] = "cosine",
        smoothing: float = 1.5,
        max_length: int = 77,
        words: str = "pieces",
        boxes: BoxRule | Mapping[str, float] | None = None,
        own_terms: bool = False,
        amp: bool = False,
        device: torch.device | str | None = None,
        cache_size: int = 4096,
    ) -> None:
        if maps not in ("cosine", "share"):
            raise ValueError(f"maps must be 'cosine' or 'share', got {maps!r}")
        if smoothing < 0:
            raise ValueError(f"smoothing must be 0 or more, got {smoothing}")
        self.network = network if device is None else network.to(device)
        self.image, self.text = network.get_submodule("image"), network.get_submodule("text")
        self.tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else load_text_tokenizer(tokenizer)
        self.input = InputImage(size=size, channels=channels)
        self.prompts = prompt_table(prompts, style=style)
        self.compare_cells = share_maps if maps == "share" else cosine_maps
        self.smoothing = smoothing
        self.max_length = max_length
        self.words = words
        self.boxes: BoxRule | ScoreRule = boxes if isinstance(boxes, BoxRule) else BoxRule(**(boxes or {}))  # type: ignore[arg-type]
        self.own_terms = own_terms
        self.amp = amp
        self._texts = TextCache(self._encode_texts, self.text, size=cache_size)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def clear_cache(self) -> None:
        """Forget the vectors of all texts. A change of the text tower's weights does so too."""
        self._texts.clear()

    def embed_image(self, images: ImageSource | Sequence[ImageSource]) -> ImageEmbedding:
        """Embed images in one batch.

        Args:
            images: one, or a list: the path of a DICOM, PNG, JPEG or NIfTI file, or an array or tensor [H, W] or
                [1, H, W], in [0, 1] or uint8; a MetaTensor of ``LoadRadiograph`` brings its view along.

        Raises:
            RadiographReadError: if a file cannot be read.
            RadiographRefused: if an image is blank, a lateral view or too small.
            ValueError: if one is of another shape or range.
        """
        sources: list[Any] = list(images) if isinstance(images, (list, tuple)) else [images]
        if not sources:
            raise ValueError("no image: give at least one")
        pixels, frames, concerns = zip(*map(self.input, sources), strict=True)
        features = self.encode_images(torch.stack(pixels))
        cells, guidance = ImageFeatures(features) if isinstance(features, torch.Tensor) else features
        return ImageEmbedding(cells, pool_cells(cells), frames, tuple(map(tuple, concerns)), guidance)

    def encode_images(self, images: torch.Tensor) -> Any:
        """Return what :meth:`compare` takes of fitted images [B, C, size, size]: cells [B, D, h, w] float32."""
        with eval_mode(self.image), torch.inference_mode(), self._autocast():
            return self.features(images.to(self.device, non_blocking=True))

    def features(self, images: torch.Tensor, network: Any = None) -> Any:
        """The same in the mode and the precision that the caller has set, as evaluators do.

        Args:
            images: [B, C, size, size], where the network is.
            network: in place of the image tower.
        """
        return (self.image if network is None else network)(images).float()

    def embed_text(self, texts: Sequence[str]) -> torch.Tensor:
        """Return vectors of length 1, [N, D] float32; a text that was asked for before is not encoded again.

        Raises:
            ValueError: if there is no text, or one has no word that the tokenizer knows.
        """
        if isinstance(texts, str) or not len(texts):
            raise ValueError("texts must be a list of at least one text")
        return self._texts(texts)

    def ground(self, image: ImageSource | ImageEmbedding, phrases: Sequence[str]) -> list[Grounding]:
        """Find where phrases lie in one image.

        Args:
            image: what :meth:`embed_image` takes, or its result for one image.
            phrases: in the language of the reports that the network learned from.

        Returns:
            One grounding a phrase, in their order; each may have any number of boxes, and none.
        """
        embedding = self._one(image)
        maps, similarity = self.compare(embedding.features, phrases=phrases)
        return self.groundings(maps[0], similarity[0], embedding.frames[0], phrases)

    def segment(
        self, image: ImageSource | ImageEmbedding, classes: Sequence[str], *, negatives: bool = False
    ) -> dict[str, Segmentation]:
        """Find where classes lie in one image: the mean map over the positive prompts of each.

        Args:
            image: what :meth:`embed_image` takes, or its result for one image.
            classes: names in the prompt table.
            negatives: compare each class with its denial: softmax of both mean maps over 0.5, a score in [0, 1].

        Raises:
            KeyError: if the table has no such class.
            ValueError: if negatives are asked for and a class has none.
        """
        embedding = self._one(image)
        maps, similarity = self.compare(embedding.features, classes=classes, negatives=negatives)
        return self.segmentations(maps[0], similarity[0], embedding.frames[0], classes, negatives=negatives)

    def classify(
        self, image: ImageSource | ImageEmbedding, classes: Sequence[str], *, negatives: bool = False
    ) -> dict[str, float]:
        """Compare one whole image with classes: the mean cosine over the positive prompts of each.

        Args:
            image: what :meth:`embed_image` takes, or its result for one image.
            classes: names in the prompt table.
            negatives: compare each prompt with its denial by a softmax over 0.2, and take the geometric mean of the
                prompts: a score in [0, 1], no probability either.

        Raises:
            KeyError: if the table has no such class.
            ValueError: if negatives are asked for and a class has none.
        """
        embedding = self._one(image)
        with torch.inference_mode():
            similarity = self._similarity(embedding.cells, self.ask((), classes, negatives))
        return dict(zip(classes, similarity[0].tolist(), strict=True))

    def class_prompts(self, classes: Sequence[str], *, negatives: bool = False) -> list[Prompts]:
        """Return the sentences of classes.

        Args:
            classes: names in the prompt table.
            negatives: they shall be compared with their denial.

        Raises:
            KeyError: if the table has no such class.
            ValueError: if negatives are asked for and a class has none.
        """
        prompts = [self.prompts.prompts(name, own_term=self.own_terms) for name in classes]
        lacking = [name for name, one in zip(classes, prompts, strict=True) if negatives and not one.negative]
        if lacking:
            raise ValueError(f"no negative prompts for {', '.join(lacking)}: ask for them without negatives")
        return prompts

    @torch.inference_mode()
    def compare(
        self,
        features: torch.Tensor | ImageFeatures,
        *,
        phrases: Sequence[str] = (),
        classes: Sequence[str] = (),
        negatives: bool = False,
    ) -> Comparison:
        """Compare encoded images with phrases and classes at once; the work of all other methods.

        Args:
            features: of :meth:`encode_images`.
            phrases: one text each.
            classes: names in the prompt table.
            negatives: compare classes with their denial.

        Raises:
            KeyError: if the table has no such class.
            ValueError: if there is nothing to ask, or negatives are asked for and a class has none.
        """
        images = ImageFeatures(features) if isinstance(features, torch.Tensor) else features
        asked = self.ask(phrases, classes, negatives)
        return Comparison(self._maps(images, asked), self._similarity(images.cells, asked))

    def ask(self, phrases: Sequence[str], classes: Sequence[str], negatives: bool = False) -> Asked:
        """Put a question into the form that images are compared with, see :meth:`compare`."""
        if isinstance(phrases, str) or isinstance(classes, str) or not (phrases or classes):
            raise ValueError("give a list of at least one phrase or class")
        prompts = self.class_prompts(classes, negatives=negatives)
        vectors = self.embed_text([*phrases, *(text for one in prompts for text in one.positive)])
        counts = [1] * len(phrases) + [len(one.positive) for one in prompts]
        denied = self.embed_text([text for one in prompts for text in one.negative]) if negatives and prompts else None
        return Asked(vectors, counts, len(phrases), denied)

    def _maps(self, images: ImageFeatures, asked: Asked) -> torch.Tensor:
        # Prompts of a class are averaged first: the mean of cosines with several texts is the product with their mean.
        maps = self.compare_cells(images.cells, asked.mean @ asked.vectors)  # [B, N, h, w]
        if asked.denied is not None:
            against = maps[:, asked.first :] - self.compare_cells(images.cells, asked.class_mean @ asked.denied)
            maps = torch.cat([maps[:, : asked.first], torch.sigmoid(against / MAP_TEMPERATURE)], dim=1)
        return smooth_maps(maps, self.smoothing)

    def _similarity(self, cells: torch.Tensor, asked: Asked) -> torch.Tensor:
        pooled = pool_cells(cells)
        cosines = pooled @ asked.vectors.T  # [B, T]
        similarity = cosines @ asked.mean.T  # [B, N]
        if asked.denied is not None:
            prompts = cosines[:, asked.first :] - pooled @ asked.denied.T  # a phrase is one text
            pairs = F.logsigmoid(prompts / SCORE_TEMPERATURE)
            similarity = torch.cat([similarity[:, : asked.first], (pairs @ asked.class_mean.T).exp()], dim=1)
        return similarity

    def to_square(self, maps: torch.Tensor, size: int) -> torch.Tensor:
        """Interpolate maps [N, h, w] of :meth:`compare` to values [N, size, size] over the fitted square, bilinear."""
        values = F.interpolate(maps[None], (size, size), mode="bilinear", align_corners=False)[0]
        return values.sigmoid() if self.logits else values

    def groundings(
        self, maps: torch.Tensor, similarity: torch.Tensor, frame: FittedFrame, phrases: Sequence[str]
    ) -> list[Grounding]:
        """Make groundings of maps [N, h, w] and similarities [N] of one image."""
        places = locate(maps, frame, self.boxes, logits=self.logits)
        rows = zip(similarity.tolist(), maps, places, phrases, strict=True)
        return [
            Grounding(value, cells, frame, place, phrase, logits=self.logits) for value, cells, place, phrase in rows
        ]

    def segmentations(
        self,
        maps: torch.Tensor,
        similarity: torch.Tensor,
        frame: FittedFrame,
        classes: Sequence[str],
        *,
        negatives: bool = False,
    ) -> dict[str, Segmentation]:
        """Make segmentations of maps [K, h, w] and similarities [K] of one image."""
        rule = self.boxes
        if negatives and isinstance(rule, BoxRule):  # below 0.5 a place is nearer to the denial
            rule = replace(rule, floor=max(0.5, rule.floor))
        places = locate(maps, frame, rule, logits=self.logits)
        rows = zip(similarity.tolist(), maps, places, classes, strict=True)
        return {
            name: Segmentation(value, cells, frame, place, name, logits=self.logits)
            for value, cells, place, name in rows
        }

    def _one(self, image: ImageSource | ImageEmbedding) -> ImageEmbedding:
        embedding = image if isinstance(image, ImageEmbedding) else self.embed_image(image)
        if len(embedding) != 1:
            raise ValueError(f"one image is asked at a time, got {len(embedding)}: go through the embedding's images")
        return embedding

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.amp)

    def _encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        with eval_mode(self.text), torch.inference_mode(), self._autocast():
            return encode_texts(self.text, self.tokenizer, texts, max_length=self.max_length, words=self.words)
