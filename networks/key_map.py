# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Renaming of the tensors of an official checkpoint, each of which is accounted for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

StateDict = dict[str, torch.Tensor]


def map_keys(
    official: Mapping[str, Any],
    expected: Mapping[str, torch.Tensor],
    find: Callable[[str], tuple[str | None, str | None]],
    method: str,
) -> tuple[StateDict, list[dict[str, Any]]]:
    """Rename all tensors, and hold names and shapes against what is expected.

    Args:
        official: the tensors of the checkpoint.
        expected: tensors of the right names and shapes, for example on the meta device.
        find: gives our name of an official key (None if it has none) and, if it is to be dropped, why.
        method: whose checkpoint it is, for messages.

    Returns:
        Our state dict, whose tensors are those of the checkpoint, and one entry per official key with what became of
        it: ``key``, ``shape``, and ``action`` "renamed" with ``to`` or "dropped" with ``reason``.

    Raises:
        ValueError: if a key is unknown, missing or of a wrong shape.
    """
    state: StateDict = {}
    keys: list[dict[str, Any]] = []
    for key, tensor in official.items():
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"key {key!r} holds a {type(tensor).__name__}, not a tensor")
        entry = {"key": key, "shape": list(tensor.shape)}
        ours, reason = find(key)
        if reason is not None:
            keys.append(entry | {"action": "dropped", "reason": reason})
            continue
        if ours is None or ours not in expected:
            raise ValueError(f"unknown key {key!r} {tuple(tensor.shape)}: not part of this {method}")
        if tensor.shape != expected[ours].shape:
            raise ValueError(
                f"key {key!r} has the shape {tuple(tensor.shape)}, {tuple(expected[ours].shape)} is needed"
            )
        state[ours] = tensor
        keys.append(entry | {"action": "renamed", "to": ours})
    if missing := sorted(expected.keys() - state.keys()):
        raise ValueError(f"{len(missing)} tensors are missing, first {missing[:5]} (our names)")
    return state, keys
