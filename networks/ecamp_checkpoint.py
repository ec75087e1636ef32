# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of official ECAMP checkpoints, key by key, and the strict loader of the result."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from radbundles.networks.checkpoint_file import file_provenance, read_checkpoint
from radbundles.networks.ecamp import ECAMP
from radbundles.networks.position_table import sincos_position_table

StateDict = dict[str, torch.Tensor]

_BERT = "bert_encoder.model.bert."
_HEAD = "bert_encoder.model.cls.predictions."
_FUSION = _BERT + "context_fusion_layer."

# Name before the training code was published; the released weights carry it.
_ALIAS = (_BERT + "cross_attn_layer.", _FUSION)

# Official prefix -> ours; the first that fits counts.
RENAMED: tuple[tuple[str, str], ...] = (
    ("cls_token", "encoder.cls_token"),
    ("pos_embed", "encoder.pos_embed"),
    ("patch_embed.", "encoder.patch_embed."),
    ("blocks.", "encoder.blocks."),
    ("norm.", "encoder.norm."),
    ("mask_token", "decoder.mask_token"),
    ("decoder_pos_embed", "decoder.pos_embed"),
    ("decoder_embed.", "decoder.embed."),
    ("decoder_blocks.", "decoder.blocks."),
    ("decoder_norm.", "decoder.norm."),
    ("decoder_pred.", "decoder.pred."),
    ("super_res.", "super_resolution."),
    ("bert_mlp.", "visual_projection."),
    (_BERT + "embeddings.", "text.embeddings."),
    (_FUSION + "cross_self_attention.", "text.fusion.cross_attention."),
    (_FUSION + "gap_mlp.", "text.fusion.global_projection."),
    (_FUSION + "out_layer.", "text.fusion.merge."),
    (_FUSION, "text.fusion."),
    (_BERT + "encoder.", "text.encoder."),
    (_HEAD + "transform.", "head.transform."),
    (_HEAD + "decoder.", "head.decoder."),
)

DROPPED: dict[str, str] = {
    _BERT + "pooler.dense.weight": "the pooler's output is never used and has no gradient (quirk Q20)",
    _BERT + "pooler.dense.bias": "the pooler's output is never used and has no gradient (quirk Q20)",
    _BERT + "embeddings.position_ids": "a constant 0 ... max_length - 1 that old library versions stored",
    _HEAD + "bias": "the same parameter as decoder.bias under a second key (quirk Q19), found equal",
}


def rename_ecamp_key(key: str) -> str | None:
    """Our name of an official key without aliases; None where the official model has no such part."""
    if key in DROPPED:
        return None
    return next((ours + key[len(theirs) :] for theirs, ours in RENAMED if key.startswith(theirs)), None)


def convert_ecamp_checkpoint(
    source: str | Path | Mapping[str, Any], *, heads: int = 12, decoder_heads: int = 16, text_heads: int = 6
) -> tuple[StateDict, dict[str, Any]]:
    """Convert an official ECAMP checkpoint into the state dict of :class:`ECAMP`, accounting for every key.

    Sizes are read off the tensors; numbers of heads leave no trace in shapes and are arguments. Accepted are the
    official training file (a dict with ``model``), a bare state dict, the prefix ``module.`` of distributed training
    and the older name ``cross_attn_layer`` of the fusion layer.

    Args:
        source: checkpoint file (.pth, .pt, .bin, .safetensors) or its content.
        heads: attention heads of the vision encoder.
        decoder_heads: attention heads of the image decoder.
        text_heads: attention heads of the text part.

    Returns:
        The state dict, and a report: ``config`` (arguments of :class:`ECAMP`), ``source`` (name, sha256, bytes),
        ``counts``, ``position_tables`` and ``keys`` (one entry per official key).

    Raises:
        ValueError: if a key is unknown, missing, doubled, of a wrong shape, or differs from its twin.
    """
    provenance: dict[str, Any] | None = None
    if isinstance(source, (str, Path)):
        path = Path(source)
        provenance, source = file_provenance(path), read_checkpoint(path)
    official, seen_as = _official_state(source)
    config = _infer_config(official, heads=heads, decoder_heads=decoder_heads, text_heads=text_heads)
    with torch.device("meta"):
        expected = ECAMP(**config).state_dict()
    converted: StateDict = {}
    keys: list[dict[str, Any]] = []
    for key, tensor in official.items():
        ours = rename_ecamp_key(key)
        if ours is None and key not in DROPPED or ours is not None and ours not in expected:
            raise ValueError(f"unknown key {seen_as[key]!r} {tuple(tensor.shape)}: not part of ECAMP")
        entry = {"key": seen_as[key], "shape": list(tensor.shape)}
        if ours is None:
            keys.append(entry | {"action": "dropped", "reason": DROPPED[key]})
            continue
        if tensor.shape != expected[ours].shape:
            raise ValueError(
                f"key {seen_as[key]!r} has the shape {tuple(tensor.shape)}, {tuple(expected[ours].shape)} is needed"
            )
        keys.append(entry | {"action": "renamed", "to": ours})
        converted[ours] = tensor.detach().clone().contiguous()
    if missing := sorted(expected.keys() - converted.keys()):
        theirs = [_official_name(key) for key in missing]
        raise ValueError(f"{len(missing)} keys are missing, first {theirs[:5]}")
    twin = official.get(_HEAD + "bias")
    if twin is not None and not torch.equal(twin, official[_HEAD + "decoder.bias"]):
        raise ValueError(f"{_HEAD + 'bias'!r} and {_HEAD + 'decoder.bias'!r} differ but are one parameter")
    tables = {name: _table_formula(converted[f"{name}.pos_embed"]) for name in ("encoder", "decoder")}
    config["position_table"] = "official" if tables["encoder"] == "official" else "mae"
    report = {
        "config": config,
        "source": provenance,
        "counts": {
            "official_keys": len(official),
            "official_elements": sum(tensor.numel() for tensor in official.values()),
            "converted_keys": len(converted),
            "converted_elements": sum(tensor.numel() for tensor in converted.values()),
        },
        "position_tables": tables,
        "keys": keys,
    }
    return converted, report


def save_ecamp(folder: str | Path, state_dict: StateDict, report: Mapping[str, Any]) -> None:
    """Write a conversion as ``model.safetensors``, ``config.json`` and ``conversion_report.json``.

    Args:
        folder: made if it does not exist.
        state_dict: first result of :func:`convert_ecamp_checkpoint`.
        report: second result of :func:`convert_ecamp_checkpoint`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state_dict, folder / "model.safetensors", metadata={"format": "pt"})
    network = {"_target_": "radbundles.networks.ECAMP", **report["config"]}
    config = {"network": network, "provenance": report["source"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "conversion_report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def load_ecamp(folder: str | Path) -> ECAMP:
    """Load a converted network, in eval mode; a missing, unexpected or misshapen tensor is an error.

    Args:
        folder: made by :func:`save_ecamp` or ``radbundles convert``.

    Raises:
        FileNotFoundError: if one of the two files is missing.
        RuntimeError: if the tensors do not fit the configuration.
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} not found: make it with radbundles convert")
    network = json.loads((folder / "config.json").read_text(encoding="utf-8"))["network"]
    model = ECAMP(**{key: value for key, value in network.items() if key != "_target_"})
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    return model.eval()


def _official_state(content: Mapping[str, Any]) -> tuple[StateDict, dict[str, str]]:
    """Strip wrappings and aliases; the second dict tells how each key was spelled in the file."""
    state = content["model"] if isinstance(content.get("model"), Mapping) else content
    official: StateDict = {}
    seen_as: dict[str, str] = {}
    for spelled, tensor in state.items():
        key = spelled.removeprefix("module.")
        if key.startswith(_ALIAS[0]):
            key = _ALIAS[1] + key[len(_ALIAS[0]) :]
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"key {spelled!r} holds a {type(tensor).__name__}, not a tensor")
        if key in official:
            raise ValueError(f"keys {seen_as[key]!r} and {spelled!r} are the same parameter")
        official[key], seen_as[key] = tensor, spelled
    return official, seen_as


def _infer_config(state: StateDict, **heads: int) -> dict[str, Any]:
    def shape(key: str, axes: int) -> torch.Size:
        if key not in state:
            raise ValueError(f"key {key!r} is missing: this is no checkpoint of ECAMP")
        if state[key].ndim != axes:
            raise ValueError(f"key {key!r} has the shape {tuple(state[key].shape)}, {axes} axes are needed")
        return state[key].shape

    def blocks(prefix: str) -> int:
        numbers = {int(m[1]) for key in state if (m := re.match(re.escape(prefix) + r"(\d+)\.", key))}
        if not numbers:
            raise ValueError(f"no key begins with {prefix!r}: this is no checkpoint of ECAMP")
        return max(numbers) + 1

    vocabulary, text_dim = shape(_BERT + "embeddings.word_embeddings.weight", 2)
    dim, patch_size = shape("patch_embed.proj.weight", 4)[0], shape("patch_embed.proj.weight", 4)[2]
    return {
        "image_size": 2 * patch_size * math.isqrt(shape("pos_embed", 3)[1] - 1),
        "patch_size": patch_size,
        "dim": dim,
        "depth": blocks("blocks."),
        "heads": heads["heads"],
        "mlp_ratio": shape("blocks.0.mlp.fc1.weight", 2)[0] / dim,
        "decoder_dim": shape("mask_token", 3)[2],
        "decoder_depth": blocks("decoder_blocks."),
        "decoder_heads": heads["decoder_heads"],
        "vocab_size": vocabulary,
        "text_dim": text_dim,
        "text_layers": blocks(_BERT + "encoder.layer."),
        "text_heads": heads["text_heads"],
        "text_ffn": shape(_FUSION + "intermediate.dense.weight", 2)[0],
        "max_length": shape(_BERT + "embeddings.position_embeddings.weight", 2)[0],
        # The weights were trained with it (quirk Q13).
        "sr_final_relu": True,
    }


def _official_name(ours: str) -> str:
    candidates = [(theirs, mine) for theirs, mine in RENAMED if ours.startswith(mine)]
    theirs, mine = max(candidates, key=lambda pair: len(pair[1]))
    return theirs + ours[len(mine) :]


def _table_formula(table: torch.Tensor) -> str:
    """Name of the formula that gives a position table, "other" for a learned or foreign one."""
    side = math.isqrt(table.shape[1] - 1)
    for formula in ("mae", "official"):
        built = sincos_position_table(table.shape[2], (side, side), formula=formula)
        if torch.allclose(table.float(), built, atol=1e-4):
            return formula
    return "other"
