# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Contrast of images and sentences whose targets come from their labels."""

from __future__ import annotations

from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from radbundles.networks.all_processes import rows_of_processes


class SoftContrastLoss(nn.Module):
    """Symmetric cross-entropy of image-text cosine similarities against the agreement of labels.

    With logits A_ij = cos(image_i, text_j) / temperature and label similarity Y_ij = image_labels_i . text_labels_j:
    half the cross-entropy of the rows of A against softmax(Y_ij / label_temperature) over j, plus half that of its
    columns against the softmax over i. ``targets="identity"`` makes each pair its own only target: InfoNCE with a
    fixed temperature, as in CLIP.

    Source: DCXFM's contrast, losses "soft_cont" and "nt_xent". Deviations: float32, also under autocast, where the
    official loss and with it the total runs in float64 (quirk Q9; differences near 1e-6). As published, only the
    pairs of one process meet (quirk Q4) and the label similarity is not clamped (quirk Q8).

    Args:
        temperature: of the logits.
        label_temperature: of the targets; the official 0.5 makes them almost hard.
        targets: "labels" or "identity".
        clamp: count disagreeing labels (a negative similarity) as no agreement.
        gather: while training, contrast with the pairs of every process, gradients included; needs batches of one
            size. Each process averages over its own rows and columns. What the embeddings of one process get from the
            losses of all is summed, and :class:`torch.nn.parallel.DistributedDataParallel` averages over processes:
            together that is the gradient of the loss of the whole batch, without any factor.
        double: compute and return in float64, as published.

    Raises:
        ValueError: if a temperature is not positive or targets is neither.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        label_temperature: float = 0.5,
        targets: Literal["labels", "identity"] = "labels",
        clamp: bool = False,
        gather: bool = False,
        double: bool = False,
    ) -> None:
        super().__init__()
        if temperature <= 0 or label_temperature <= 0:
            raise ValueError(f"temperatures must be positive, got {temperature} and {label_temperature}")
        if targets not in ("labels", "identity"):
            raise ValueError(f'targets must be "labels" or "identity", got {targets!r}')
        self.temperature, self.label_temperature = temperature, label_temperature
        self.targets, self.clamp, self.gather, self.double_precision = targets, clamp, gather, double

    def forward(
        self,
        image: torch.Tensor,
        text: torch.Tensor,
        image_labels: torch.Tensor | None = None,
        text_labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Score a batch of pairs.

        Args:
            image: image embeddings [B, D], of any length.
            text: sentence embeddings [B, D], of any length.
            image_labels: labels of the images [B, K], +1 present, 0 unknown, -1 absent; not used by "identity".
            text_labels: labels of the sentences [B, K].

        Returns:
            The loss, a scalar: of this process's pairs, also with gather.

        Raises:
            ValueError: if labels are missing or shapes do not fit.
        """
        if image.shape != text.shape or image.ndim != 2:
            raise ValueError(f"image {tuple(image.shape)} and text {tuple(text.shape)} must both be [B, D]")
        dtype = torch.float64 if self.double_precision else torch.promote_types(image.dtype, torch.float32)
        with torch.autocast(image.device.type, enabled=False):
            image, text = F.normalize(image.to(dtype), dim=1), F.normalize(text.to(dtype), dim=1)
            all_images, all_texts = self._gather(image, text)
            to_text = image @ all_texts.T / self.temperature  # [B, all]
            to_image = text @ all_images.T / self.temperature
            if self.targets == "identity":
                rank = dist.get_rank() if len(all_images) > len(image) else 0
                own = torch.arange(len(image), device=image.device) + rank * len(image)
                return (F.cross_entropy(to_text, own) + F.cross_entropy(to_image, own)) / 2
            if image_labels is None or text_labels is None:
                missing = "image_labels" if image_labels is None else "text_labels"
                raise ValueError(f'targets="labels" needs {missing}; without labels use targets="identity"')
            if image_labels.shape != text_labels.shape or len(image_labels) != len(image):
                raise ValueError(
                    f"image_labels {tuple(image_labels.shape)} and text_labels {tuple(text_labels.shape)} must both be "
                    f"[{len(image)}, K]"
                )
            image_labels, text_labels = image_labels.to(dtype), text_labels.to(dtype)
            all_image_labels, all_text_labels = self._gather(image_labels, text_labels)
            text_targets = self._targets(image_labels @ all_text_labels.T)
            image_targets = self._targets(text_labels @ all_image_labels.T)
            return (F.cross_entropy(to_text, text_targets) + F.cross_entropy(to_image, image_targets)) / 2

    def _targets(self, agreement: torch.Tensor) -> torch.Tensor:
        if self.clamp:
            agreement = agreement.clamp(min=0)
        return (agreement / self.label_temperature).softmax(1)

    def _gather(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both tensors of every process, in the order of ranks."""
        if not self.gather:
            return first, second
        columns = first.shape[1]
        together = rows_of_processes(torch.cat([first, second], dim=1))
        return together[:, :columns], together[:, columns:]
