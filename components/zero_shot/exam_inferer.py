# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers of a network to a zero-shot exam."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.inferers import Inferer

from radbundles.components.zero_shot.zero_shot import ZeroShot
from radbundles.networks import ImageFeatures


class ExamInferer(Inferer):
    """Ground the phrases, segment the regions and classify the images of a batch of :class:`ExamTargetsd`.

    Source: DCXFM, evaluation: maps are brought to the square by bilinear interpolation, those of stage 1 smoothed on
    the grid of cells before it; of logits the sigmoid is taken after it (quirk Q26). No scaling is done here, it
    belongs to the protocol that scores them.

    Args:
        zero_shot: asks the network; each distinct text is encoded once.
        classes: those of the exam, in the order of ``labels``.
        negatives: compare classes with their denial (for classification and segmentation).

    Raises:
        KeyError: if the prompt table has no such class.
        ValueError: if negatives are asked for and a class, or the network, has none.
    """

    def __init__(
        self,
        zero_shot: ZeroShot,
        *,
        classes: Sequence[str] = (),
        negatives: bool = False,
    ) -> None:
        super().__init__()
        zero_shot.class_prompts(classes, negatives=negatives)
        self.zero_shot = zero_shot
        self.classes = tuple(classes)
        self.negatives = negatives

    def __call__(  # type: ignore[override]  # the whole batch comes in, since the questions differ by image
        self, inputs: Mapping[str, Any], network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Answer the questions of a batch.

        Returns:
            ``grounding`` and ``segmentation``, each a dict of lists by image: ``maps`` float32 [P, S, S], ``masks``
            bool [P, S, S] and ``groups`` (P names); ``scores`` [B, K], similarities with the classes.
        """
        tool, image = self.zero_shot, inputs["image"]
        features = tool.features(image, network)
        images = ImageFeatures(features) if isinstance(features, torch.Tensor) else features
        B, size = len(image), image.shape[-1]
        nothing = images.cells.new_zeros(0, size, size)
        places, scores = nothing.new_zeros(B, 0, 1, 1), nothing.new_zeros(B, 0)
        if self.classes:
            places, scores = tool.compare(images, classes=self.classes, negatives=self.negatives)
        if texts := list(dict.fromkeys(text for phrases in inputs["phrases"] for text in phrases)):
            tool.embed_text(texts)  # all at once: below they are known
        grounding, segmentation = [], []
        column = {name: number for number, name in enumerate(self.classes)}
        for row, (phrases, regions) in enumerate(zip(inputs["phrases"], inputs["regions"], strict=True)):
            one = ImageFeatures(images.cells[row : row + 1], tuple(level[row : row + 1] for level in images.guidance))
            # of its own phrases only: aggregation works for each of them
            grounding.append(tool.to_square(tool.compare(one, phrases=phrases).maps[0], size) if phrases else nothing)
            chosen = places[row, [column[name] for name in regions]]
            segmentation.append(tool.to_square(chosen, size) if regions else nothing)
        return {
            "grounding": _answers(grounding, inputs["phrase_masks"], inputs["phrase_groups"]),
            "segmentation": _answers(segmentation, inputs["region_masks"], inputs["regions"]),
            "scores": scores,
        }


def _answers(
    maps: list[torch.Tensor], masks: Sequence[torch.Tensor], groups: Sequence[Sequence[str]]
) -> dict[str, list[Any]]:
    return {
        "maps": maps,
        "masks": [mask.to(one.device) for mask, one in zip(masks, maps, strict=True)],
        "groups": [list(names) for names in groups],
    }
