# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers of a network to a zero-shot exam."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer

from radbundles.components.zero_shot.zero_shot import ZeroShot

Answers = dict[str, list[Any]]


class ExamInferer(Inferer):
    """Ground the phrases, segment the regions and classify the images of a batch of :class:`ExamTargetsd`.

    Source: DCXFM, evaluation: maps are smoothed on the grid of cells and brought to the square by bilinear
    interpolation; no scaling is done here, it belongs to the protocol that scores them.

    Args:
        zero_shot: asks the network; each distinct text is encoded once.
        classes: those of the exam, in the order of ``labels``.
        negatives: compare classes with their denial (for classification and segmentation).
    """

    def __init__(
        self,
        zero_shot: ZeroShot,
        *,
        classes: Sequence[str] = (),
        negatives: bool = False,
    ) -> None:
        super().__init__()
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
        cells = network(inputs["image"], *args, **kwargs).float()
        size = inputs["image"].shape[-1]
        texts = list(dict.fromkeys(text for phrases in inputs["phrases"] for text in phrases))
        found = self.zero_shot.compare(cells, phrases=texts, classes=self.classes, negatives=self.negatives)
        first = len(texts)
        return {
            "grounding": self._answers(
                found.maps[:, :first], texts, inputs["phrases"], inputs["phrase_groups"], inputs["phrase_masks"], size
            ),
            "segmentation": self._answers(
                found.maps[:, first:], self.classes, inputs["regions"], inputs["regions"], inputs["region_masks"], size
            ),
            "scores": found.similarity[:, first:],
        }

    def _answers(
        self,
        maps: torch.Tensor,
        names: Sequence[str],
        asked: Sequence[Sequence[str]],
        groups: Sequence[Sequence[str]],
        masks: Sequence[torch.Tensor],
        size: int,
    ) -> Answers:
        place = {name: number for number, name in enumerate(names)}
        answers = []
        for row, queries in enumerate(asked):
            if queries:
                cells = maps[row, [place[query] for query in queries]]
                chosen = F.interpolate(cells[None], (size, size), mode="bilinear", align_corners=False)[0]
            else:
                chosen = maps.new_zeros(0, size, size)
            answers.append(chosen)
        return {
            "maps": answers,
            "masks": [mask.to(maps.device) for mask in masks],
            "groups": [list(names) for names in groups],
        }
