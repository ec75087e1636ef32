# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors of published vision transformers under the names of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any, NamedTuple

import torch

# Names of transformers -> names of timm, outside and inside of a block; the library has renamed its modules, but saves
# the old names still.
_OUTSIDE: tuple[tuple[str, str], ...] = (
    (r"embeddings\.(cls_token|mask_token|register_tokens)", r"\1"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.distillation_token", "dist_token"),
    (r"embeddings\.patch_embeddings\.projection\b", "patch_embed.proj"),
    (r"layernorm\b", "norm"),
)
_INSIDE: tuple[tuple[str, str], ...] = (
    (r"layernorm_before\b", "norm1"),
    (r"layernorm_after\b", "norm2"),
    (r"attention\.(?:attention\.query|q_proj)\b", "attn.q"),
    (r"attention\.(?:attention\.key|k_proj)\b", "attn.k"),
    (r"attention\.(?:attention\.value|v_proj)\b", "attn.v"),
    (r"attention\.(?:output\.dense|o_proj)\b", "attn.proj"),
    (r"intermediate\.dense\b", "mlp.fc1"),
    (r"output\.dense\b", "mlp.fc2"),
    (r"layer_scale([12])\.lambda1", r"ls\1.gamma"),
)
_BLOCK = re.compile(r"(?:encoder\.layer|layers)\.(\d+)\.(.+)")
# What a layer scale multiplies.
_SCALED = {"ls1.gamma": "attn.proj", "ls2.gamma": "mlp.fc2"}


class ViTTensors(NamedTuple):
    """A vision transformer under the names of :class:`~radbundles.networks.ViTEncoder`, and where it comes from."""

    tensors: dict[str, torch.Tensor]
    """Our name (or timm's, where we have no such part) -> tensor."""
    sources: dict[str, list[str]]
    """The same names -> the keys that the tensor was made of."""


def vit_tensors(state: Mapping[str, torch.Tensor]) -> ViTTensors:
    """Rename the tensors of a vision transformer, without any change of what it computes.

    Separate projections of queries, keys and values are stacked into one; a layer scale (DINOv2), which multiplies the
    end of a branch, is multiplied into the weights of that end.

    Args:
        state: a state dict with the names of timm or of transformers, without prefix.
    """
    renamed = {key: _rename(key) for key in state}
    tensors = {renamed[key]: tensor for key, tensor in state.items()}
    sources = {name: [key] for key, name in renamed.items()}

    for name in [name for name in tensors if ".attn.q." in name]:
        parts = [name.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(part in tensors for part in parts):
            fused = name.replace(".attn.q.", ".attn.qkv.")
            tensors[fused] = torch.cat([tensors.pop(part) for part in parts])
            sources[fused] = [key for part in parts for key in sources.pop(part)]
    for name in [name for name in tensors if name.endswith(tuple(_SCALED))]:
        block, scale = name[: -len("ls1.gamma")], name[-len("ls1.gamma") :]
        end = block + _SCALED[scale]
        if f"{end}.weight" in tensors and f"{end}.bias" in tensors:
            gamma, (source,) = tensors.pop(name), sources.pop(name)
            tensors[f"{end}.weight"] = tensors[f"{end}.weight"] * gamma[:, None]
            tensors[f"{end}.bias"] = tensors[f"{end}.bias"] * gamma
            sources[f"{end}.weight"].append(source)
    return ViTTensors(tensors, sources)


def vit_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Read the sizes of a vision transformer off its tensors, as far as they are there."""
    sizes: dict[str, Any] = {}
    patches = tensors.get("patch_embed.proj.weight")
    if patches is not None and patches.ndim == 4:
        sizes = {"dim": patches.shape[0], "patch_size": patches.shape[2], "channels": patches.shape[1]}
    sizes["depth"] = len({match[1] for name in tensors if (match := re.match(r"blocks\.(\d+)\.", name))})
    hidden = tensors.get("blocks.0.mlp.fc1.weight")
    if hidden is not None and hidden.ndim == 2:
        sizes["mlp_ratio"] = hidden.shape[0] / hidden.shape[1]
    return sizes


def position_prefix(table: torch.Tensor) -> int:
    """How many rows of a position table [1, rows, dim] come before those of a square grid: 0, 1 or 2.

    Raises:
        ValueError: if the table has another shape, or no square grid fits.
    """
    if table.ndim == 3 and table.shape[0] == 1:
        before = table.shape[1] - isqrt(table.shape[1]) ** 2
        if before <= 2:
            return before
    raise ValueError(f"a position table [1, rows, dim] of a square grid is needed, got {tuple(table.shape)}")


def _rename(key: str) -> str:
    block = _BLOCK.fullmatch(key)
    part = block[2] if block else key
    for theirs, ours in _INSIDE if block else _OUTSIDE:
        part, found = re.subn(f"^{theirs}", ours, part)
        if found:
            break
    return f"blocks.{block[1]}.{part}" if block else part
