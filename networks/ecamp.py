# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ECAMP: masked image modeling, super-resolution and report modeling in one network."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import BertConfig

from radbundles.networks.mae_decoder import MAEDecoder
from radbundles.networks.masked_vit import MaskedViTEncoder, random_patch_mask
from radbundles.networks.position_table import PositionFormula
from radbundles.networks.report_encoder import ReportEncoder
from radbundles.networks.super_resolution import SuperResolutionHead
from radbundles.networks.token_head import TokenHead


class ECAMP(nn.Module):
    """Entity-centered context-aware pre-training of a vision transformer on radiographs and reports.

    Source: Wang et al., "ECAMP: Entity-centered Context-aware Medical Vision Language Pre-training", Medical Image
    Analysis 105, 2025, https://arxiv.org/abs/2312.13316; official code https://github.com/ToniChopp/ECAMP. With
    converted weights, ``sr_final_relu=True`` and the same noise the outputs are those of the official model.

    Parts: ``encoder``, ``decoder``, ``super_resolution``, ``visual_projection``, ``text``, ``head``. Downstream tasks
    use ``encoder``, whose keys are those of a timm vision transformer. ``sizes`` holds the arguments.

    Deviations from the official code: the position table follows MAE (Q18), the super-resolved image may be
    negative (Q13), the mask ratio is an argument (Q15), any device works (Q16), and nothing without a gradient is
    built (Q20). The unused patch helper (Q17) is gone.

    Args:
        image_size: side of the input image in pixels; the encoder sees half of it.
        patch_size: side of a patch of the halved image in pixels.
        dim: width of the vision encoder.
        depth: blocks of the vision encoder.
        heads: attention heads of the vision encoder.
        mlp_ratio: hidden width of the MLPs of encoder and decoder over their width.
        decoder_dim: width of the image decoder.
        decoder_depth: blocks of the image decoder.
        decoder_heads: attention heads of the image decoder.
        vocab_size: size of the vocabulary.
        text_dim: width of the text part.
        text_layers: BERT layers after the fusion layer.
        text_heads: attention heads of the text part.
        text_ffn: hidden width of the MLPs of the text part.
        max_length: longest report in tokens.
        dropout: dropout of the text part, of its attention weights too; the vision part has none.
        mask_ratio: share of patches hidden from the encoder, in [0, 1).
        position_table: formula of the initial position tables, "mae" or "official" (Q18).
        sr_final_relu: end the super-resolution head in a ReLU (Q13).

    Raises:
        ValueError: if sizes do not fit each other.
    """

    def __init__(
        self,
        *,
        image_size: int = 448,
        patch_size: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        mlp_ratio: float = 4.0,
        decoder_dim: int = 512,
        decoder_depth: int = 4,
        decoder_heads: int = 16,
        vocab_size: int = 30000,
        text_dim: int = 768,
        text_layers: int = 6,
        text_heads: int = 6,
        text_ffn: int = 1536,
        max_length: int = 256,
        dropout: float = 0.1,
        mask_ratio: float = 0.75,
        position_table: PositionFormula = "mae",
        sr_final_relu: bool = False,
    ) -> None:
        sizes = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        self.sizes = sizes
        if image_size % (2 * patch_size):
            raise ValueError(f"image_size {image_size} is not a multiple of twice the patch_size {patch_size}")
        patches = (image_size // (2 * patch_size)) ** 2
        if not 0 <= mask_ratio < 1 or int(patches * (1 - mask_ratio)) < 1:
            raise ValueError(f"mask_ratio must lie in [0, 1) and leave a patch of {patches} visible, got {mask_ratio}")
        self.image_size = image_size
        self.max_length = max_length
        self.mask_ratio = mask_ratio
        self.encoder = MaskedViTEncoder(
            image_size=image_size // 2,
            patch_size=patch_size,
            dim=dim,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
            position_table=position_table,
        )
        self.decoder = MAEDecoder(
            grid=self.encoder.grid,
            patch_size=patch_size,
            encoder_dim=dim,
            dim=decoder_dim,
            depth=decoder_depth,
            heads=decoder_heads,
            mlp_ratio=mlp_ratio,
            position_table=position_table,
        )
        self.super_resolution = SuperResolutionHead(3, final_relu=sr_final_relu)
        self.visual_projection = nn.Linear(dim, text_dim)
        nn.init.xavier_uniform_(self.visual_projection.weight)
        nn.init.zeros_(self.visual_projection.bias)
        text_sizes: dict[str, Any] = {
            "vocab_size": vocab_size,
            "hidden_size": text_dim,
            "num_hidden_layers": text_layers,
            "num_attention_heads": text_heads,
            "intermediate_size": text_ffn,
            "max_position_embeddings": max_length,
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
            "attn_implementation": "sdpa",
        }
        text = BertConfig(**text_sizes)
        self.text = ReportEncoder(text)
        self.head = TokenHead(text)

    def forward(
        self,
        image: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        *,
        noise: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Predict the hidden patches, the image at full resolution, and the masked words.

        B samples, L tokens, N patches of which K are visible, V words, S the image size.

        Args:
            image: normalized image [B, 3, S, S].
            input_ids: masked token ids [B, L], L at most max_length.
            attention_mask: 1 token, 0 pad, [B, L].
            noise: one number per patch that decides which are hidden, [B, N]; drawn uniformly if not given.
            positions: True where logits are wanted, [B, L] bool; everywhere if not given.

        Returns:
            target: the halved image [B, 3, S / 2, S / 2].
            latent: encoder tokens, class token first, [B, 1 + K, dim].
            mask: 1 where a patch was hidden, in grid order, [B, N].
            reconstruction: decoded image [B, 3, S / 2, S / 2].
            super_resolution: image at full resolution [B, 3, S, S].
            logits: [B, L, V], or [n, V] for the n true positions in row-major order.

        Raises:
            ValueError: if shapes do not fit.
        """
        self._check_text(input_ids, attention_mask)
        target = self.halve(image)
        patches = self.encoder.grid[0] * self.encoder.grid[1]
        if noise is None:
            noise = torch.rand(image.shape[0], patches, device=image.device)
        elif noise.shape != (image.shape[0], patches):
            raise ValueError(f"noise must be [{image.shape[0]}, {patches}], got {tuple(noise.shape)}")
        keep, restore, mask = random_patch_mask(noise, self.mask_ratio)
        latent = self.encoder(target, keep)
        reconstruction = self.decoder(latent, restore)
        # The class token takes no part in the text.
        hidden = self.text(input_ids, attention_mask, self.visual_projection(latent[:, 1:]))
        return {
            "target": target,
            "latent": latent,
            "mask": mask,
            "reconstruction": reconstruction,
            "super_resolution": self.super_resolution(reconstruction),
            "logits": self.head(hidden if positions is None else hidden[positions]),
        }

    def halve(self, image: torch.Tensor) -> torch.Tensor:
        """Halve an image [B, 3, S, S] as the encoder sees it: bicubic without antialiasing (Q11).

        Raises:
            ValueError: if the image has another size than the network.
        """
        if image.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(
                f"expected an image [B, 3, {self.image_size}, {self.image_size}], got {tuple(image.shape)}"
            )
        half = self.image_size // 2
        return F.interpolate(image, size=(half, half), mode="bicubic", align_corners=False, antialias=False)

    def encode(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of a whole image [B, 3, S, S]: ``cls`` [B, dim] and ``patches`` [B, N, dim] in grid order."""
        tokens = self.encoder(self.halve(image))
        return {"cls": tokens[:, 0], "patches": tokens[:, 1:]}

    def cross_attention(
        self, image: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Where in the image each token of a report looks, in the fusion layer.

        Nothing is masked and the patches stay in grid order; the official visualization shuffles them (quirk Q27).

        Args:
            image: normalized image [B, 3, S, S].
            input_ids: un-masked token ids [B, L].
            attention_mask: 1 token, 0 pad, [B, L].

        Returns:
            Weights [B, heads, L, rows, columns] that sum to 1 over the grid.

        Raises:
            ValueError: if shapes do not fit.
        """
        self._check_text(input_ids, attention_mask)
        visual = self.visual_projection(self.encode(image)["patches"])
        return self.text.cross_attention(input_ids, attention_mask, visual).unflatten(-1, self.encoder.grid)

    def _check_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> None:
        if input_ids.ndim != 2 or input_ids.shape != attention_mask.shape:
            raise ValueError(
                "input_ids and attention_mask must be [B, L] alike, got "
                f"{tuple(input_ids.shape)} and {tuple(attention_mask.shape)}"
            )
        if input_ids.shape[1] > self.max_length:
            raise ValueError(f"reports of {input_ids.shape[1]} tokens are longer than max_length {self.max_length}")
