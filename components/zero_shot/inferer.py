# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Phrases and classes as a MONAI inferer: images in, similarity maps out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer

from radbundles.components.zero_shot.zero_shot import ZeroShot


class ZeroShotInferer(Inferer):
    """Compare fitted images with phrases and classes.

    Args:
        zero_shot: knows the texts; its network is the one that the evaluator runs.
        phrases: what to look for.
        classes: names in the prompt table.
        negatives: compare classes with their denial, see :meth:`ZeroShot.segment`.

    Raises:
        ValueError: if there is neither a phrase nor a class, or one of them stands twice.
        KeyError: if the table has no such class.
    """

    def __init__(
        self,
        zero_shot: ZeroShot,
        *,
        phrases: Sequence[str] = (),
        classes: Sequence[str] = (),
        negatives: bool = False,
    ) -> None:
        super().__init__()
        for kind, names in (("phrases", phrases), ("classes", classes)):
            if isinstance(names, str) or len(set(names)) != len(names):
                raise ValueError(f"{kind} must be a list of different texts, got {names!r}")
        if not phrases and not classes:
            raise ValueError("nothing to look for: give phrases or classes")
        zero_shot.class_prompts(classes, negatives=negatives)
        self.zero_shot = zero_shot
        self.phrases = tuple(phrases)
        self.classes = tuple(classes)
        self.negatives = negatives

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Return maps and similarities of images [B, C, S, S], those of the phrases before those of the classes.

        Returns:
            ``maps`` [B, N, h, w] and ``similarity`` [B, N], float32, see :class:`Comparison`.
        """
        features = self.zero_shot.features(inputs, network)
        found = self.zero_shot.compare(features, phrases=self.phrases, classes=self.classes, negatives=self.negatives)
        return {"maps": found.maps, "similarity": found.similarity}
