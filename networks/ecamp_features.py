# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The image encoder of ECAMP as a feature map, for inference and export."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from radbundles.networks.ecamp import ECAMP
from radbundles.networks.masked_vit import MaskedViTEncoder
from radbundles.networks.position_table import PositionFormula, resize_position_table


class ECAMPFeatures(nn.Module):
    """Image in, one tensor out: the patch features of a pre-trained ECAMP encoder as a map.

    The part of ECAMP that downstream tasks use, with the signature that MONAI's bundle tools and
    ``torch.export`` want. Its state dict is that of :class:`ECAMP` under the prefix ``encoder.``, unchanged;
    :meth:`subset` takes it out and fits the position table to another image size.

    Args:
        image_size: side of the image in pixels; ECAMP's encoder was trained on 224 (half of its 448).
        patch_size: side of a patch in pixels.
        dim: width of the encoder.
        depth: blocks of the encoder.
        heads: attention heads of the encoder.
        mlp_ratio: hidden width of the MLPs over dim.
        position_table: formula of the position table before weights are loaded.
    """

    PREFIX = "encoder."

    def __init__(
        self,
        *,
        image_size: int = 224,
        patch_size: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        mlp_ratio: float = 4.0,
        position_table: PositionFormula = "mae",
    ) -> None:
        super().__init__()
        self.encoder = MaskedViTEncoder(
            image_size=image_size,
            patch_size=patch_size,
            dim=dim,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
            position_table=position_table,
        )

    @classmethod
    def from_ecamp(cls, network: ECAMP, *, image_size: int | None = None) -> ECAMPFeatures:
        """Copy the encoder out of a pre-trained network.

        Args:
            network: the pre-trained network.
            image_size: side of the images to be encoded; the encoder's own if not given.
        """
        encoder = network.encoder
        features = cls(image_size=image_size or encoder.image_size, **encoder.sizes)
        features.load_state_dict(features.subset(network.state_dict()))
        return features.to(encoder.cls_token.device).train(network.training)

    def subset(self, state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Take this module's part out of the state dict of :class:`ECAMP`, ready for ``load_state_dict``.

        Raises:
            KeyError: if the state dict has no encoder.
        """
        part = {key: value for key, value in state_dict.items() if key.startswith(self.PREFIX)}
        if not part:
            raise KeyError(f"no key begins with {self.PREFIX!r}: this is not a state dict of ECAMP")
        table = self.PREFIX + "pos_embed"
        return part | {table: resize_position_table(part[table], self.encoder.grid)}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode normalized images [B, 3, image_size, image_size] as maps [B, dim, rows, columns]."""
        tokens = self.encoder(image)
        return tokens[:, 1:].transpose(1, 2).unflatten(2, self.encoder.grid)
