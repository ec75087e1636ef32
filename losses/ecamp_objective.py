# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The pre-training objective of ECAMP: a network and its three losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from radbundles.losses.context_super_resolution import ContextSuperResolutionLoss
from radbundles.losses.masked_image import MaskedImageLoss
from radbundles.losses.rebalanced_mlm import RebalancedMLMLoss


class ECAMPObjective(nn.Module):
    """Weighted sum of masked image modeling, context-guided super-resolution and re-balanced report modeling.

    Source: ECAMP; the official weights are all 1. Of the report only the positions that the
    report loss reads are run through the vocabulary head.

    Args:
        network: :class:`radbundles.networks.ECAMP` or a module with the same forward.
        mim_loss: loss of the reconstruction; default ``MaskedImageLoss()``.
        sr_loss: loss of the super-resolved image; default ``ContextSuperResolutionLoss()``.
        mlm_loss: loss of the words; default ``RebalancedMLMLoss()``, official ``RebalancedMLMLoss("all")``.
        mim_weight: weight of mim_loss.
        sr_weight: weight of sr_loss.
        mlm_weight: weight of mlm_loss.

    Raises:
        ValueError: if the image loss normalizes patches: the super-resolution head needs an image.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        mim_loss: MaskedImageLoss | None = None,
        sr_loss: ContextSuperResolutionLoss | None = None,
        mlm_loss: RebalancedMLMLoss | None = None,
        mim_weight: float = 1.0,
        sr_weight: float = 1.0,
        mlm_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.mim_loss = mim_loss or MaskedImageLoss()
        self.sr_loss = sr_loss or ContextSuperResolutionLoss()
        self.mlm_loss = mlm_loss or RebalancedMLMLoss()
        if self.mim_loss.norm_pix:
            raise ValueError("mim_loss must have norm_pix=False: super-resolution continues from the reconstruction")
        self.mim_weight, self.sr_weight, self.mlm_weight = mim_weight, sr_weight, mlm_weight

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run the network on a batch and score it.

        Args:
            batch: ``image`` [B, 3, S, S], ``input_ids``, ``labels``, ``attention_mask``, ``token_weights``, ``masked``
                [B, L] and ``window`` [B, 4]; optionally ``noise`` [B, N] to fix which patches are hidden.

        Returns:
            ``loss`` and its parts ``mim``, ``sr``, ``mlm`` (before weighting). In eval mode also ``target``, ``mask``,
            ``reconstruction``, ``super_resolution``, and ``logits`` [n, V] at the masked positions.
        """
        masked, only_masked = batch["masked"], self.mlm_loss.positions == "masked"
        output = self.network(
            batch["image"],
            batch["input_ids"],
            batch["attention_mask"],
            noise=batch.get("noise"),
            positions=masked if only_masked else None,
        )
        mim = self.mim_loss(output["reconstruction"], output["target"], output["mask"])
        sr = self.sr_loss(output["super_resolution"], batch["image"], batch["window"])
        mlm = self.mlm_loss(output["logits"], batch["labels"], batch["token_weights"], masked)
        loss = self.mim_weight * mim + self.sr_weight * sr + self.mlm_weight * mlm
        result = {"loss": loss, "mim": mim, "sr": sr, "mlm": mlm}
        if not self.training:
            result |= {key: output[key] for key in ("target", "mask", "reconstruction", "super_resolution")}
            result["logits"] = output["logits"] if only_masked else output["logits"][masked]
        return result
