# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Official stage-1 checkpoints of DCXFM: key by key into our modules, and as a folder of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from radbundles.networks.checkpoint_file import file_provenance, read_checkpoint
from radbundles.networks.dcxfm import DCXFM
from radbundles.networks.image_tower import ImageTower
from radbundles.networks.key_map import StateDict, map_keys
from radbundles.networks.resnet_encoder import ResNetEncoder
from radbundles.networks.text_encoder import build_bert
from radbundles.networks.text_tower import TextTower

# Official prefix -> name in the training objective, which holds the network.
RENAMED: tuple[tuple[str, str], ...] = (
    ("img_encoder_student.", "network.image.encoder."),
    ("img_projection_student.", "network.image.projection."),
    ("text_encoder_student.", "network.text.encoder."),
    ("text_projection_student.", "network.text.projection."),
    ("ibot_head_s.", "head."),
    ("img_encoder_teacher.", "teacher.image.encoder."),
    ("img_projection_teacher.", "teacher.image.projection."),
    ("ibot_head_t.", "teacher.head."),
    ("center", "distillation.center"),
)

DROPPED: tuple[tuple[str, str], ...] = (
    (r"img_encoder_(student|teacher)\.fc\.(weight|bias)", "the ImageNet classifier, which nothing uses"),
    (r"ibot_head_[st]\.last_layer2\.weight_[gv]", "the last layer of a removed loss, which nothing uses (quirk Q37)"),
    (r"text_encoder_student\.pooler\.dense\.(weight|bias)", "the pooler, which is not trained and nothing uses"),
    (r"text_encoder_student\.embeddings\.position_ids", "a constant that old library versions stored"),
)

# The two halves of a weight-normalized matrix as torch.nn.utils.weight_norm and as its successor name them.
_HALVES = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}


def rename_dcxfm_key(key: str) -> str | None:
    """Name in the training objective of an official key; None where the official model has no such part."""
    for theirs, ours in RENAMED:
        if key.startswith(theirs):
            rest = key[len(theirs) :]
            half = next((old for old in _HALVES if rest.endswith(old)), None)
            return ours + (rest if half is None else rest.removesuffix(half) + _HALVES[half])
    return None


def find_dcxfm_key(key: str) -> tuple[str | None, str | None]:
    """Name in a :class:`DCXFM` of an official key, and why it is dropped if it is."""
    ours, reason = _find_any_key(key)
    if ours is not None and not ours.startswith("network."):
        reason = reason or "part of the training, not of the network"
    return None if ours is None else ours.removeprefix("network."), reason


def is_dcxfm_checkpoint(content: Mapping[str, Any]) -> bool:
    """Whether the content of a checkpoint file has the names of an official DCXFM model."""
    return any(str(key).startswith("img_encoder_student.") for key in _state(content))


def load_dcxfm_checkpoint(module: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load an official stage-1 checkpoint (Lightning, key ``state_dict``), accounting for every key.

    Args:
        module: a :class:`DCXFM` of the checkpoint's sizes, or the objective that trains it, which also gets teacher,
            heads and center; changed in place, and only if all fits.
        path: the file.

    Returns:
        Report: ``source`` (name, sha256, bytes) and ``keys``, one entry per official key with what became of it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a key is unknown, missing or of a wrong shape.
    """
    path = Path(path)
    find = find_dcxfm_key if isinstance(module, DCXFM) else _find_any_key
    state, keys = map_keys(_state(read_checkpoint(path)), module.state_dict(), find, "DCXFM")
    module.load_state_dict(state)
    return {"source": file_provenance(path), "keys": keys}


def convert_dcxfm_checkpoint(
    source: str | Path | Mapping[str, Any], *, text_heads: int = 12
) -> tuple[StateDict, dict[str, Any]]:
    """Convert an official stage-1 checkpoint into the state dict of a :class:`DCXFM` whose sizes are read off it.

    Args:
        source: checkpoint file or its content.
        text_heads: attention heads of the text encoder, which leave no trace in shapes.

    Returns:
        The state dict, and a report: ``config`` (for ``"network"`` of a bundle), ``source`` and ``keys``. The dropout
        of the text encoder is in no checkpoint either; the configuration has 0.1.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a key is unknown, missing or of a wrong shape.
    """
    provenance: dict[str, Any] | None = None
    if isinstance(source, (str, Path)):
        provenance, source = file_provenance(source), read_checkpoint(source)
    official = _state(source)
    config = infer_dcxfm_config(official, text_heads)
    with torch.device("meta"):
        expected = build_dcxfm(config).state_dict()
    state, keys = map_keys(official, expected, find_dcxfm_key, "DCXFM")
    converted = {key: tensor.detach().clone().contiguous() for key, tensor in state.items()}
    return converted, {"config": config, "source": provenance, "keys": keys}


def save_dcxfm(folder: str | Path, state_dict: StateDict, report: Mapping[str, Any]) -> None:
    """Write a conversion as ``model.safetensors``, ``config.json`` and ``conversion_report.json``.

    Args:
        folder: made if it does not exist.
        state_dict: first result of :func:`convert_dcxfm_checkpoint` or of its counterpart of stage 2.
        report: the second result.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state_dict, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"network": report["config"], "provenance": report["source"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "conversion_report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def load_dcxfm(folder: str | Path) -> DCXFM:
    """Load a converted network, in eval mode; a missing, unexpected or misshapen tensor is an error.

    Args:
        folder: made by :func:`save_dcxfm` or ``radbundles convert``.

    Raises:
        FileNotFoundError: if one of the two files is missing.
        RuntimeError: if the tensors do not fit the configuration.
    """
    config, state = read_converted(folder)
    network = build_dcxfm(config)
    network.load_state_dict(state)
    return network.eval()


def read_converted(folder: str | Path) -> tuple[dict[str, Any], StateDict]:
    """Configuration and tensors of a folder made by :func:`save_dcxfm`.

    Raises:
        FileNotFoundError: if one of the two files is missing.
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} not found: make it with radbundles convert")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["network"]
    return config, load_file(folder / "model.safetensors")


def _state(content: Mapping[str, Any]) -> Mapping[str, Any]:
    wrapped = content.get("state_dict")
    return wrapped if isinstance(wrapped, Mapping) else content


def _find_any_key(key: str) -> tuple[str | None, str | None]:
    return rename_dcxfm_key(key), next((why for pattern, why in DROPPED if re.fullmatch(pattern, key)), None)


def infer_dcxfm_config(state: Mapping[str, Any], text_heads: int) -> dict[str, Any]:
    """Configuration of a :class:`DCXFM`, its sizes read off an official state dict."""
    image, text = "img_encoder_student.", "text_encoder_student."

    def shape(key: str) -> torch.Size:
        if key not in state:
            raise ValueError(f"key {key!r} is missing: this is no checkpoint of DCXFM")
        if not isinstance(state[key], torch.Tensor):
            raise ValueError(f"key {key!r} holds a {type(state[key]).__name__}, not a tensor")
        return state[key].shape

    def count(prefix: str) -> int:
        return len({match[1] for key in state if (match := re.match(re.escape(prefix) + r"(\d+)\.", key))})

    bottleneck = f"{image}layer1.0.conv3.weight" in state
    vocabulary, width = shape(f"{text}embeddings.word_embeddings.weight")
    dim = shape("img_projection_student.weight")[0]
    encoder = {
        "_target_": "radbundles.networks.ResNetEncoder",
        "depth": 50 if bottleneck else 18,
        "in_channels": shape(f"{image}conv1.weight")[1],
        "widths": [shape(f"{image}layer{stage}.0.conv1.weight")[0] for stage in range(1, 5)],
        "blocks": [count(f"{image}layer{stage}.") for stage in range(1, 5)],
    }
    bert = {
        "_target_": "radbundles.networks.build_bert",
        "vocab_size": vocabulary,
        "dim": width,
        "layers": count(f"{text}encoder.layer."),
        "heads": text_heads,
        "ffn": shape(f"{text}encoder.layer.0.intermediate.dense.weight")[0],
        "max_length": shape(f"{text}embeddings.position_embeddings.weight")[0],
    }
    return {
        "_target_": "radbundles.networks.DCXFM",
        "image": {"_target_": "radbundles.networks.ImageTower", "encoder": encoder, "dim": dim},
        "text": {"_target_": "radbundles.networks.TextTower", "encoder": bert, "dim": dim},
    }


def build_dcxfm(config: Mapping[str, Any]) -> DCXFM:
    """The network of a configuration of :func:`infer_dcxfm_config`; nothing else that it might name is ever called."""

    def arguments(part: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in part.items() if key not in ("_target_", "encoder")}

    image, text = config["image"], config["text"]
    return DCXFM(
        ImageTower(ResNetEncoder(**arguments(image["encoder"])), **arguments(image)),
        TextTower(build_bert(**arguments(text["encoder"])), **arguments(text)),
    )
