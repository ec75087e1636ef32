# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameter groups of fine-tuning: the earlier a layer of the encoder, the more slowly it learns."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from torch import nn

_NUMBERED = re.compile(r"(?:^|\.)(?:blocks|layers?|stages)\.(\d+)\.")
_NUMBERED_FROM_ONE = re.compile(r"(?:^|\.)layers?([1-9]\d*)\.")  # layer1 ... layer4 of a ResNet
_TOKENS = frozenset({"cls_token", "pos_embed", "position_embeddings", "distillation_token", "register_tokens"})
_STEM = _TOKENS | {"patch_embed", "mask_token", "embeddings", "embedder", "patch_embedding", "conv1", "bn1"}
_END = frozenset({"norm", "layernorm"})
_FIRST, _LAST = -1, -2


def layer_decay_groups(
    network: nn.Module, *, learning_rate: float, weight_decay: float = 0.0, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for an optimizer, by layer of the encoder and by whether weights are decayed.

    Source: layer-wise decay of BEiT and MAE. With L blocks (of a vision transformer) or stages (of a ResNet), the i-th
    of 0 ... L - 1 gets ``learning_rate * layer_decay ** (L - i)``, what comes before the first (stem, tokens, position
    table) ``learning_rate * layer_decay ** (L + 1)``, and a final norm and all outside the encoder ``learning_rate``.
    Biases, one-dimensional tensors (scales of norms), tokens and position tables have no weight decay.

    Args:
        network: holds an ``encoder`` of :func:`~radbundles.networks.build_encoder`; parameters with ``requires_grad``
            False are left out.
        learning_rate: of the head or decoder.
        weight_decay: of what is decayed.
        layer_decay: factor from one layer to the one before, in (0, 1]; 1 gives all the same rate, and two groups.

    Returns:
        Groups with ``params``, ``lr`` and ``weight_decay``, from the first layers to the head; none is empty.

    Raises:
        ValueError: if a value is out of range, or a layer_decay other than 1 meets an encoder whose layers cannot be
            told.
    """
    if learning_rate < 0 or weight_decay < 0 or not 0 < layer_decay <= 1:
        raise ValueError(
            "need learning_rate >= 0, weight_decay >= 0 and 0 < layer_decay <= 1, got "
            f"{learning_rate}, {weight_decay} and {layer_decay}"
        )
    steps = _steps_from_head(network) if layer_decay != 1 else {}
    groups: defaultdict[tuple[int, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            plain = parameter.ndim <= 1 or name.endswith(".bias") or name.rsplit(".", 1)[-1] in _TOKENS
            groups[-steps.get(name, 0), 0.0 if plain else weight_decay].append(parameter)
    return [
        {"params": groups[key], "lr": learning_rate * layer_decay ** -key[0], "weight_decay": key[1]}
        for key in sorted(groups, key=lambda key: (key[0], -key[1]))
    ]


def _steps_from_head(network: nn.Module) -> dict[str, int]:
    """How many layers each parameter of the encoder lies before the head."""
    prefix = next((f"{name}." for name, module in network.named_modules() if _is_encoder(name, module)), None)
    if prefix is None:
        raise ValueError(f"{type(network).__name__} has no encoder whose layers could be told: set layer_decay to 1")
    names = [name for name, _ in network.named_parameters() if name.startswith(prefix)]
    layers = {name: _layer(name.removeprefix(prefix)) for name in names}
    depth = max((layer for layer in layers.values() if layer is not None), default=-1) + 1
    if unknown := [name for name, layer in layers.items() if layer is None]:
        raise ValueError(f"the layer of {unknown[0]!r} cannot be told: set layer_decay to 1")
    if not depth:
        raise ValueError(f"no layer of {prefix.removesuffix('.')!r} has a number: set layer_decay to 1")
    return {name: 0 if layer == _LAST else depth - layer for name, layer in layers.items() if layer is not None}


def _is_encoder(name: str, module: nn.Module) -> bool:
    return name.rsplit(".", 1)[-1] == "encoder" and hasattr(module, "out_channels")


def _layer(name: str) -> int | None:
    """Number of a parameter's layer within the encoder."""
    if match := _NUMBERED.search(name):
        return int(match[1])
    if match := _NUMBERED_FROM_ONE.search(name):
        return int(match[1]) - 1
    parts = name.split(".")
    if not _STEM.isdisjoint(parts):
        return _FIRST
    return None if _END.isdisjoint(parts) else _LAST
