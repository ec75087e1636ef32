# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Where in an image a pre-trained ECAMP looks for each of a list of entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from radbundles.networks.ecamp import ECAMP


class ECAMPEntityMaps(ECAMP):
    """ECAMP as an image-only network: attention of fixed prompts, one for each entity, over the patches.

    The queries of ECAMP's fusion layer depend on the text alone, so that an image costs one pass of the encoder. The
    state dict is that of :class:`ECAMP`, so that pre-trained weights load strictly; prompts are not part of it.

    Args:
        prompts: for each entity its token ids and, for each of them, whether it belongs to the entity, see
            :func:`radbundles.components.inference.entity_prompts`.
        **sizes: arguments of :class:`ECAMP`.

    Raises:
        ValueError: if there is no prompt, or one has no entity token or is longer than the network's reports.
    """

    prompt_ids: torch.Tensor
    prompt_mask: torch.Tensor
    prompt_weight: torch.Tensor

    def __init__(self, *, prompts: Sequence[tuple[Sequence[int], Sequence[bool]]], **sizes: Any) -> None:
        super().__init__(**sizes)
        if not prompts:
            raise ValueError("there is no prompt: name at least one entity")
        for number, (ids, flags) in enumerate(prompts):
            if not any(flags) or len(ids) != len(flags) or len(ids) > self.max_length:
                raise ValueError(
                    f"prompt {number} has {len(ids)} tokens and {len(flags)} flags, {sum(map(bool, flags))} of them "
                    f"set: it needs a flag for each token, one of them set, and at most {self.max_length} tokens"
                )
        length = max(len(ids) for ids, _ in prompts)

        def padded(rows: list[list[int]]) -> torch.Tensor:
            return torch.tensor([row + [0] * (length - len(row)) for row in rows])

        entity = padded([[int(flag) for flag in flags] for _, flags in prompts]).float()
        self.register_buffer("prompt_ids", padded([list(ids) for ids, _ in prompts]), persistent=False)
        self.register_buffer("prompt_mask", padded([[1] * len(ids) for ids, _ in prompts]), persistent=False)
        self.register_buffer("prompt_weight", entity / entity.sum(1, keepdim=True), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Return attention [B, E, rows, columns] for a normalized image [B, 3, S, S]; each map sums to 1.

        High values show where the words of an entity look, whether or not the entity is there.
        """
        return self.describe(image)["pred"]

    def describe(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return ``pred``, as :meth:`forward` does, and ``features``, the mean of the patch features [B, dim]."""
        patches = self.encode(image)["patches"]  # -> [B, N, dim]
        queries = self.text.fusion.attend(
            self.text.embeddings(self.prompt_ids), self.prompt_mask.bool()[:, None, None, :]
        )  # -> [E, L, text_dim]
        attention = self.text.fusion.cross_attention.weights(
            queries.flatten(0, 1)[None], self.visual_projection(patches)
        ).unflatten(2, queries.shape[:2])  # -> [B, heads, E, L, N]
        maps = (attention.mean(1) * self.prompt_weight[:, :, None]).sum(2)  # -> [B, E, N]
        return {"pred": maps.unflatten(-1, self.encoder.grid), "features": patches.mean(1)}
