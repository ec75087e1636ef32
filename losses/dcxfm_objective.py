# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The pre-training objective of DCXFM: two towers, a teacher and three losses."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import nn

from radbundles.losses.self_distillation import SelfDistillationLoss
from radbundles.losses.soft_contrast import SoftContrastLoss
from radbundles.losses.word_region import WordRegionLoss


class DCXFMObjective(nn.Module):
    """Weighted sum of soft image-text contrast, word-region contrast and local-to-global self-distillation.

    Source: Wang and Yu, IEEE TMI 2025, stage 1; official ``pretrain_sdmp.py``, whose published command weighs
    word-region alignment twice. Contrast and word-region loss are averaged over the global crops; an image is
    embedded as the mean of its cells. The teacher, a copy of image tower and head that gets no gradient, sees the
    global crops only, in one pass as the student does, and batch-normalizes by its own statistics (quirk Q38); let
    :class:`radbundles.components.engines.EMATeacher` move it (quirk Q1).

    Deviations: one sentence is encoded, not two of which one is used (quirk Q7); a sentence's own words are aligned
    (quirk Q5).

    Args:
        network: ``network.image(image)`` gives cells [N, D, h, w], ``network.text(input_ids, attention_mask,
            word_mask)`` gives words [B, L, D] and sentences [B, D]: :class:`radbundles.networks.DCXFM` or your own.
        head: embeddings [N, D] -> logits [N, K], such as :class:`radbundles.networks.DINOHead`; None if
            distillation_weight is 0.
        contrast: default ``SoftContrastLoss()``.
        word_region: default ``WordRegionLoss()``.
        distillation: default ``SelfDistillationLoss()`` with the prototypes of DINOHead's default.
        contrast_weight: weight of contrast; 0 leaves it out.
        word_region_weight: weight of word_region; 0 leaves it out.
        distillation_weight: weight of distillation; 0 leaves out the teacher and the local crops.
        word_counts: "sample" aligns the positions of ``word_mask``; "official" repeats quirk Q5 and needs the
            batch's ``official_counts``, see :func:`official_word_mask`.

    Raises:
        TypeError: if the network has no image or text tower.
        ValueError: if a weight is negative, the head is missing, or word_counts is neither.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        head: nn.Module | None,
        contrast: SoftContrastLoss | None = None,
        word_region: WordRegionLoss | None = None,
        distillation: SelfDistillationLoss | None = None,
        contrast_weight: float = 1.0,
        word_region_weight: float = 2.0,
        distillation_weight: float = 1.0,
        word_counts: Literal["sample", "official"] = "sample",
    ) -> None:
        super().__init__()
        weights = {
            "contrast": contrast_weight,
            "word_region": word_region_weight,
            "distillation": distillation_weight,
        }
        if negative := [f"{name}_weight={weight}" for name, weight in weights.items() if weight < 0]:
            raise ValueError(f"weights must not be negative, got {', '.join(negative)}")
        if head is None and distillation_weight > 0:
            raise ValueError("distillation needs a head; set distillation_weight=0 to do without")
        if word_counts not in ("sample", "official"):
            raise ValueError(f'word_counts must be "sample" or "official", got {word_counts!r}')
        if not isinstance(getattr(network, "image", None), nn.Module) or not callable(getattr(network, "text", None)):
            raise TypeError(f"network must have a module `image` and `text`, which {type(network).__name__} has not")
        self.network = network
        self.head = head
        self.contrast = contrast or SoftContrastLoss()
        self.word_region = word_region or WordRegionLoss()
        self.distillation = distillation or SelfDistillationLoss()
        self.weights, self.word_counts = weights, word_counts
        self.teacher: nn.ModuleDict | None = None
        if head is not None:
            self.teacher = deepcopy(self.student).requires_grad_(False)

    @property
    def student(self) -> nn.ModuleDict:
        """What the teacher follows: ``image`` tower and ``head``, the very modules that are trained."""
        assert self.head is not None, "without a head there is no self-distillation and no student of it"
        return nn.ModuleDict({"image": self._image_tower, "head": self.head})

    @property
    def _image_tower(self) -> nn.Module:
        return self.network.get_submodule("image")

    def forward(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Run towers and teacher on a batch and score it.

        Args:
            batch: ``image_global`` [B, G, C, S, S], ``image_local`` [B, V, C, s, s] (may be absent), ``input_ids``,
                ``attention_mask``, ``word_mask`` [B, L]; ``image_labels``, ``text_labels`` [B, K] unless the contrast
                does without; ``official_counts`` [B, 2] for word_counts="official".

        Returns:
            ``loss`` and its parts ``contrast``, ``word_region``, ``distillation``, before weighting; 0 for what the
            weights leave out, and for the distillation of a single view in eval mode. In eval mode also
            ``image_embedding`` [B, D] of the first global crop and ``text_embedding`` [B, D], neither normalized.
        """
        B, G = batch["image_global"].shape[:2]
        views, local = _views_first(batch["image_global"]), batch.get("image_local")  # [G*B, C, S, S]
        # A whole radiograph by itself, as in evaluation, has no other view to be compared with.
        alone = G == 1 and local is None and not self.training
        distills = self.weights["distillation"] > 0 and not alone
        taught = self._teach(views) if distills else None  # while nothing of the student's fills the memory
        cells = self._image_tower(views)  # [G*B, D, h, w]
        pooled = _pool(cells)  # [G*B, D]
        text: Any = self.network.text
        words, sentence = text(batch["input_ids"], batch["attention_mask"], batch["word_mask"])
        parts = dict.fromkeys(self.weights, pooled.new_zeros(()))
        if self.weights["contrast"]:
            labels = batch.get("image_labels"), batch.get("text_labels")
            parts["contrast"] = torch.stack([self.contrast(crop, sentence, *labels) for crop in pooled.split(B)]).mean()
        if self.weights["word_region"]:
            parts["word_region"] = self.word_region(cells, words, self._word_mask(batch))
        if taught is not None:
            learnt = pooled if local is None else torch.cat([pooled, _pool(self._image_tower(_views_first(local)))])
            assert self.head is not None
            student = self.head(learnt).unflatten(0, (-1, B))  # [G+V, B, K]
            parts["distillation"] = self.distillation(taught.unflatten(0, (G, B)), student)
        loss = torch.stack([weight * parts[name] for name, weight in self.weights.items()]).sum()
        result = {"loss": loss, **parts}
        if not self.training:
            result |= {"image_embedding": pooled[:B], "text_embedding": sentence}
        return result

    @torch.no_grad()
    def _teach(self, views: torch.Tensor) -> torch.Tensor:
        """Images [N, C, S, S] -> the teacher's logits [N, K]."""
        assert self.teacher is not None
        return self.teacher["head"](_pool(self.teacher["image"](views)))

    def _word_mask(self, batch: Mapping[str, Any]) -> torch.Tensor:
        if self.word_counts == "sample":
            return batch["word_mask"]
        if "official_counts" not in batch:
            raise ValueError('word_counts="official" needs the batch\'s official_counts [B, 2]')
        return official_word_mask(batch["official_counts"], batch["word_mask"].shape[1])


def official_word_mask(counts: torch.Tensor, length: int) -> torch.Tensor:
    """Positions that the official word-region loss takes for the words of each sentence (quirk Q5).

    The official code draws two sentences an item and lists their word counts item by item, yet reads the count of
    item i at place i of that list: it gets the count of item i // 2, sentence i % 2. So sentences lose their last
    words, or padding counts as words.

    Args:
        counts: official word counts (quirk Q6) of both sentences of each item [B, 2].
        length: tokens L of the padded sentences; 77 in the official code.

    Returns:
        [B, L] bool: the positions 1 (after [CLS]) to the count.

    Raises:
        ValueError: if the counts do not fit the shape or reach beyond the sequence.
    """
    if counts.ndim != 2 or counts.shape[1] != 2:
        raise ValueError(f"official_counts must be [B, 2], for two sentences an item, got {tuple(counts.shape)}")
    misread = counts.flatten()[: len(counts), None]
    if int(misread.max()) >= length:
        raise ValueError(f"a word count of {int(misread.max())} reaches beyond {length} tokens: pad sentences to 77")
    position = torch.arange(length, device=counts.device)
    return (position >= 1) & (position <= misread)


def _views_first(images: torch.Tensor) -> torch.Tensor:
    """[B, V, C, H, W] -> [V*B, C, H, W]."""
    return images.transpose(0, 1).flatten(0, 1)


def _pool(cells: torch.Tensor) -> torch.Tensor:
    """Mean of cells [N, D, h, w] -> [N, D], in float32 whatever the tower computed in."""
    return cells.flatten(2).float().mean(2)
