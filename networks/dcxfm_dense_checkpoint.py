# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Official stage-2 checkpoints of DCXFM: key by key into our modules, and as a folder of our own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from radbundles.networks.checkpoint_file import file_provenance, read_checkpoint
from radbundles.networks.cost_aggregator import CostAggregator
from radbundles.networks.dcxfm_checkpoint import build_dcxfm, find_dcxfm_key, infer_dcxfm_config, read_converted
from radbundles.networks.dcxfm_dense import DCXFMDense
from radbundles.networks.key_map import StateDict, map_keys

# Where the official model keeps the two halves.
STAGE1 = "sem_seg_head.predictor.silc_model."
AGGREGATOR = "sem_seg_head.predictor.transformer."

# Official part of the aggregator -> ours.
RENAMED: tuple[tuple[str, str], ...] = (
    (r"conv1\.", "embedding."),
    (r"layers\.(\d+)\.swin_block\.guidance_norm\.", r"layers.\1.spatial.guidance_norm."),
    (r"layers\.(\d+)\.swin_block\.block_1\.", r"layers.\1.spatial.blocks.0."),
    (r"layers\.(\d+)\.swin_block\.block_2\.", r"layers.\1.spatial.blocks.1."),
    (r"layers\.(\d+)\.attention\.attention\.", r"layers.\1.classes."),
    (r"layers\.(\d+)\.attention\.MLP\.", r"layers.\1.classes.mlp."),
    (r"layers\.(\d+)\.attention\.(norm[12])\.", r"layers.\1.classes.\2."),
    (r"guidance_projection\.0\.", "guidance_projections.0."),
    (r"decoder_guidance_projection\.0\.0\.", "guidance_projections.1."),
    (r"decoder_guidance_projection\.1\.0\.", "guidance_projections.2."),
    (r"text_guidance_projection\.0\.", "text_projection."),
    (r"decoder([12])\.up\.", r"decoder.step\1.up."),
    (r"decoder([12])\.conv\.double_conv\.0\.", r"decoder.step\1.conv1."),
    (r"decoder([12])\.conv\.double_conv\.1\.", r"decoder.step\1.norm1."),
    (r"decoder([12])\.conv\.double_conv\.3\.", r"decoder.step\1.conv2."),
    (r"decoder([12])\.conv\.double_conv\.4\.", r"decoder.step\1.norm2."),
    (r"head\.", "decoder.head."),
)
_WINDOW_MASK = r"layers\.\d+\.swin_block\.block_2\.attn_mask"
DROPPED: tuple[tuple[str, str], ...] = (
    (re.escape(AGGREGATOR) + _WINDOW_MASK, "which cells a shifted window parts, computed for any grid"),
    (r"upsample[12]\.(weight|bias)", "an up-sampling of features that nothing uses (quirk Q37)"),
    (r"pixel_(mean|std)", "the scaling of pixels, which are from 0 to 1 here"),
)


def rename_aggregator_key(key: str) -> str | None:
    """Our name in a :class:`CostAggregator` of an official key; None where it has no such part."""
    for theirs, ours in RENAMED:
        if match := re.match(theirs, key):
            return match.expand(ours) + key[match.end() :]
    return None


def convert_aggregator(state: Mapping[str, torch.Tensor]) -> StateDict:
    """Rename the state dict of an official aggregator for :class:`CostAggregator`.

    Masks of shifted windows, which the official code stores, are dropped: ours are made for the grid at hand.

    Raises:
        ValueError: if a key is unknown.
    """
    converted: StateDict = {}
    for key, tensor in state.items():
        if re.fullmatch(_WINDOW_MASK, key):
            continue
        ours = rename_aggregator_key(key)
        if ours is None:
            raise ValueError(f"unknown key {key!r} {tuple(tensor.shape)}: not part of a cost aggregation")
        converted[ours] = tensor
    return converted


def is_dcxfm_dense_checkpoint(content: Mapping[str, Any]) -> bool:
    """Whether the content of a checkpoint file has the names of an official stage-2 model."""
    return any(str(key).startswith(AGGREGATOR) for key in _state(content))


def load_dcxfm_dense_checkpoint(network: DCXFMDense, path: str | Path) -> dict[str, Any]:
    """Load an official stage-2 checkpoint (detectron2, key ``model``), accounting for every key.

    Args:
        network: of the checkpoint's sizes; changed in place, and only if all fits.
        path: the file.

    Returns:
        Report: ``source`` (name, sha256, bytes) and ``keys``, one entry per official key with what became of it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a key is unknown, missing or of a wrong shape.
    """
    path = Path(path)
    state, keys = map_keys(_state(read_checkpoint(path)), network.state_dict(), _find, "DCXFM's second stage")
    network.load_state_dict(state)
    return {"source": file_provenance(path), "keys": keys}


def convert_dcxfm_dense_checkpoint(
    source: str | Path | Mapping[str, Any],
    *,
    text_heads: int = 12,
    heads: int = 4,
    pooling: int | tuple[int, int] = 2,
    attention: Literal["linear", "full"] = "linear",
) -> tuple[StateDict, dict[str, Any]]:
    """Convert an official stage-2 checkpoint into the state dict of a :class:`DCXFMDense`, its sizes read off it.

    Args:
        source: checkpoint file or its content.
        text_heads: attention heads of the text encoder; like all that follows, they leave no trace in the tensors.
        heads: attention heads of the aggregation.
        pooling: of the class aggregation.
        attention: of the class aggregation.

    Returns:
        The state dict, and a report: ``config`` (for ``"network"`` of a bundle), ``source`` and ``keys``. The side of
        the windows is known only if they were shifted; else it is 16, at which none are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a key is unknown, missing or of a wrong shape.
    """
    provenance: dict[str, Any] | None = None
    if isinstance(source, (str, Path)):
        provenance, source = file_provenance(source), read_checkpoint(source)
    official = _state(source)
    config = {
        "_target_": "radbundles.networks.DCXFMDense",
        "dcxfm": infer_dcxfm_config(_part(official, STAGE1), text_heads),
        "aggregator": _infer_aggregator(_part(official, AGGREGATOR))
        | {"heads": heads, "pooling": pooling, "attention": attention},
    }
    with torch.device("meta"):
        expected = _build(config).state_dict()
    state, keys = map_keys(official, expected, _find, "DCXFM's second stage")
    converted = {key: tensor.detach().clone().contiguous() for key, tensor in state.items()}
    return converted, {"config": config, "source": provenance, "keys": keys}


def load_dcxfm_dense(folder: str | Path) -> DCXFMDense:
    """Load a converted network, in eval mode; a missing, unexpected or misshapen tensor is an error.

    Args:
        folder: made by :func:`save_dcxfm` or ``radbundles convert``.

    Raises:
        FileNotFoundError: if one of the two files is missing.
        RuntimeError: if the tensors do not fit the configuration.
    """
    config, state = read_converted(folder)
    network = _build(config)
    network.load_state_dict(state)
    return network.eval()


def _state(content: Mapping[str, Any]) -> Mapping[str, Any]:
    wrapped = content.get("model")
    return wrapped if isinstance(wrapped, Mapping) else content


def _part(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def _find(key: str) -> tuple[str | None, str | None]:
    """Name in a :class:`DCXFMDense` of an official key, and why it is dropped if it is."""
    if key.startswith(STAGE1):
        ours, reason = find_dcxfm_key(key[len(STAGE1) :])
        return None if ours is None else f"dcxfm.{ours}", reason
    reason = next((why for pattern, why in DROPPED if re.fullmatch(pattern, key)), None)
    ours = rename_aggregator_key(key[len(AGGREGATOR) :]) if key.startswith(AGGREGATOR) else None
    return None if ours is None else f"aggregator.{ours}", reason


def _infer_aggregator(state: Mapping[str, Any]) -> dict[str, Any]:
    def shape(key: str) -> tuple[int, ...]:
        if not isinstance(state.get(key), torch.Tensor):
            raise ValueError(f"key {AGGREGATOR + key!r} is missing: this is no checkpoint of DCXFM's second stage")
        return tuple(state[key].shape)

    def guidance(name: str) -> tuple[int, int]:
        """What a guidance has, and what it is projected to."""
        if f"{name}.0.weight" not in state:
            return 0, 0
        projected, given, *_ = shape(f"{name}.0.weight")
        return given, projected

    dim, prompt_channels, *_ = shape("conv1.weight")
    text, appearance = guidance("text_guidance_projection"), guidance("guidance_projection")
    decoder = [guidance(f"decoder_guidance_projection.{step}") for step in range(2)]
    mask = "layers.0.swin_block.block_2.attn_mask"
    return {
        "_target_": "radbundles.networks.CostAggregator",
        "dim": dim,
        "depth": len({key.split(".")[1] for key in state if key.startswith("layers.")}),
        "window": math.isqrt(shape(mask)[-1]) if mask in state else 16,
        "prompt_channels": prompt_channels,
        "decoder_widths": [shape(f"decoder{step}.conv.double_conv.3.weight")[0] for step in (1, 2)],
        "text_dim": text[0],
        "text_width": text[1],
        "appearance_dim": appearance[0],
        "appearance_width": appearance[1],
        "decoder_dims": [given for given, _ in decoder],
        "decoder_guidance_widths": [projected for _, projected in decoder],
    }


def _build(config: Mapping[str, Any]) -> DCXFMDense:
    """The network of a configuration made here; nothing else that it might name is ever called."""
    arguments = {key: value for key, value in config["aggregator"].items() if key != "_target_"}
    return DCXFMDense(build_dcxfm(config["dcxfm"]), CostAggregator(**arguments))
