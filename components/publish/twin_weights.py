# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights in both forms: ``model.pt``, which MONAI's tools load, and ``model.safetensors``, which holds no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def write_twin(folder: Path) -> bool:
    """Write the form of the weights that is missing, or make sure that both hold the same.

    Tensors that share memory, such as tied embeddings, are written out each: every key of the one file is in the other.

    Args:
        folder: ``models`` of a bundle; without weights nothing is done.

    Returns:
        Whether there are weights.

    Raises:
        ValueError: if the weights are no bare state dict, or the two files differ; says in which tensor.
    """
    pickled, safe = folder / "model.pt", folder / "model.safetensors"
    if not pickled.is_file() and not safe.is_file():
        return False
    from safetensors.torch import save_file

    from radbundles.components.engines.best_model import save_atomically

    states = {path: _tensors(path) for path in (pickled, safe) if path.is_file()}
    if len(states) == 2:
        _require_equal(states[pickled], states[safe])
    elif pickled in states:
        save_file(_apart(states[pickled]), safe, metadata={"format": "pt"})
        _require_equal(states[pickled], _tensors(safe))
    else:
        save_atomically(states[safe], pickled)
    return True


def _tensors(path: Path) -> dict[str, Tensor]:
    import torch

    from radbundles.networks.checkpoint_file import read_checkpoint

    state = read_checkpoint(path)
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"models/{path.name} holds a {type(value).__name__} under {name!r}: save network.state_dict() alone"
            )
    if not state:
        raise ValueError(f"models/{path.name} holds no tensors: save network.state_dict()")
    return state


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give each tensor memory of its own where safetensors asks for it: shared, part of a larger one, or strided."""
    apart, seen = {}, set()
    for name, tensor in state.items():
        tensor = tensor.detach()
        storage = tensor.untyped_storage()
        alone = storage.data_ptr() not in seen and storage.nbytes() == tensor.numel() * tensor.element_size()
        seen.add(storage.data_ptr())
        apart[name] = tensor if alone and tensor.is_contiguous() else tensor.clone().contiguous()
    return apart


def _require_equal(pickled: Mapping[str, Any], safe: Mapping[str, Any]) -> None:
    mend = "remove the older of the two files, it is written anew"
    for name in sorted(pickled.keys() ^ safe.keys()):
        where = "model.pt" if name in pickled else "model.safetensors"
        raise ValueError(f"only models/{where} holds the tensor {name!r}: {mend}")
    for name, tensor in pickled.items():
        if not _equal(tensor, safe[name]):
            raise ValueError(f"models/model.pt and models/model.safetensors differ in {name!r}: {mend}")


def _equal(one: Tensor, other: Tensor) -> bool:
    import torch

    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.is_floating_point() or one.is_complex():
        return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
    return torch.equal(one, other)
