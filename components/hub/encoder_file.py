# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The tensors of an image encoder among whatever a file holds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_IN_FOLDERS = ("models/model.pt", "model.pt", "model.safetensors", "pytorch_model.bin")
_CHECKPOINTS = ("checkpoints/checkpoint_*.pt", "checkpoint_*.pt")
_MOVING_AVERAGE = re.compile(r"(^|[._])(teacher|ema)([._]|$)")

# Ends of keys by which an encoder is found: of a tensor that every one of its kind has, and no other.
ANCHORS = {
    "vit": ("patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight"),
    "resnet": ("layer1.0.conv1.weight",),
}


@dataclass(frozen=True)
class EncoderFile:
    """An image encoder that was found in a file.

    Args:
        path: the file.
        format: who wrote it: "ecamp_pretrain", "ecamp_official", "dcxfm_pretrain", "dcxfm_dense", "dcxfm_official",
            "radbundles" (another run of ours), "mae", "timm", "torchvision" or "transformers".
        prefix: how the encoder's keys begin.
        tensors: those of the encoder, without the prefix.
        outside: the other keys of the file, of the dict that holds the encoder as of those beside it.
    """

    path: Path
    format: str
    prefix: str
    tensors: Mapping[str, torch.Tensor]
    outside: Sequence[str]


def locate_weights(path: str | Path, *, image: str) -> Path:
    """Find the file of weights in the folder of a run, of a packed or converted bundle, or of a published model.

    Args:
        path: a file, which is the answer, or a folder.
        image: "teacher" looks for checkpoints first, which alone have a teacher.

    Raises:
        FileNotFoundError: if there is none.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no weights at {path}")
    if path.is_file():
        return path
    checkpoints = [found for pattern in _CHECKPOINTS for found in sorted(path.glob(pattern), key=_iteration)[-1:]]
    models = [path / name for name in _IN_FOLDERS if (path / name).is_file()]
    found = checkpoints + models if image == "teacher" else models + checkpoints
    if not found:
        names = ", ".join((*_IN_FOLDERS, *_CHECKPOINTS))
        raise FileNotFoundError(f"no weights in {path}: it has none of {names}")
    return found[0]


def find_encoder(path: Path, anchors: Sequence[str], *, image: str) -> EncoderFile:
    """Read a file and take the image encoder out of it, wherever it is in there.

    Args:
        path: a file of ``torch.save``, read with ``weights_only=True``, or safetensors.
        anchors: the encoder is where a key ends in one of these.
        image: "student", or "teacher" for the moving average of a network where a file has both.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or holds no encoder or several.
    """
    from radbundles.networks.checkpoint_file import read_checkpoint

    content = read_checkpoint(path)
    parts = _parts(content)
    places = _places(parts, anchors)
    wanted = [place for place in places if _is_average(*place) == (image == "teacher")]
    if not wanted:
        raise ValueError(f"{path.name} {_why_not(places, parts, image)}")
    if len(wanted) > 1:
        raise ValueError(f"{path.name} holds several image encoders: {', '.join('.'.join(place) for place in wanted)}")
    part, prefix = wanted[0]
    state: Mapping[str, Any] = content[part] if part else content
    tensors = {key.removeprefix(prefix): value for key, value in parts[part].items() if key.startswith(prefix)}
    return EncoderFile(
        path=path,
        format=_format(parts[part], prefix),
        prefix=prefix,
        tensors=tensors,
        outside=[key for key in state if key.removeprefix(prefix) not in tensors or not key.startswith(prefix)]
        + [key for key in content if part and key != part],
    )


def told_heads(path: Path) -> int | None:
    """Attention heads of the encoder, if what lies beside the weights tells them: tensors do not."""
    folder = path if path.is_dir() else path.parent
    for file, keys in (
        (folder / "config.json", ("network", "heads")),
        (folder / "configs" / "inference.json", ("encoder", "heads")),
        (folder.parent / "configs" / "inference.json", ("encoder", "heads")),
    ):
        if file.is_file():
            value: Any = json.loads(file.read_text(encoding="utf-8"))
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, int):
                return value
    return None


def transformers_config(path: Path) -> dict[str, Any] | None:
    """Configuration of a folder of transformers, or beside a file of such a folder; None where there is none."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    if not file.is_file() or (path.is_file() and path.name not in _IN_FOLDERS):
        return None
    if "model_type" not in json.loads(file.read_text(encoding="utf-8")):
        return None
    from transformers import AutoConfig

    # With the library's defaults for what the file does not say.
    config: dict[str, Any] = AutoConfig.from_pretrained(str(file.parent), local_files_only=True).to_dict()
    return config


def _iteration(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.stem)) or 0)


def _parts(content: Mapping[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    """The dicts of tensors in a file by their keys; "" is the file itself."""
    import torch

    def tensors(values: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
        return {k: value for k, value in values.items() if isinstance(k, str) and isinstance(value, torch.Tensor)}

    parts = {"": tensors(content)}
    parts |= {key: tensors(value) for key, value in content.items() if isinstance(value, Mapping)}
    return {key: state for key, state in parts.items() if state}


def _places(parts: Mapping[str, Mapping[str, Any]], anchors: Sequence[str]) -> list[tuple[str, str]]:
    """Part and prefix of every encoder."""
    return [
        (part, key.removesuffix(anchor))
        for part, state in parts.items()
        for key in state
        for anchor in anchors
        if key.endswith(anchor) and key.removesuffix(anchor)[-1:] in ("", ".")
    ]


def _is_average(part: str, prefix: str) -> bool:
    return _MOVING_AVERAGE.search(f"{part}.{prefix}") is not None


def _why_not(places: Sequence[tuple[str, str]], parts: Mapping[str, Mapping[str, Any]], image: str) -> str:
    if places and image == "teacher":
        return (
            "holds the student alone: teachers are in the checkpoints of a run with self-distillation, "
            "checkpoints/checkpoint_*.pt in its output_dir"
        )
    if places:
        return "holds a teacher (a moving average) alone: ask for it by image='teacher'"
    kinds = [kind for kind, anchors in ANCHORS.items() if _places(parts, anchors)]
    if kinds:
        return f"holds an encoder of kind {kinds[0]!r}, the configuration asks for another kind"
    first = next((list(state)[:3] for state in parts.values()), [])
    return f"holds no image encoder of this kind; its tensors begin with {', '.join(first) or 'nothing'}"


def _format(state: Mapping[str, Any], prefix: str) -> str:
    if f"{prefix}bert_encoder.model.bert.embeddings.word_embeddings.weight" in state:
        return "ecamp_official"
    if "img_encoder_" in prefix:
        return "dcxfm_official"
    if prefix.endswith("image.encoder."):
        return "dcxfm_dense" if "dcxfm." in prefix else "dcxfm_pretrain"
    if prefix.endswith("encoder."):
        return "ecamp_pretrain" if any(key.startswith("super_resolution.") for key in state) else "radbundles"
    if f"{prefix}layer1.0.conv1.weight" in state:
        return "torchvision"
    if f"{prefix}patch_embed.proj.weight" not in state:
        return "transformers"
    return "mae" if f"{prefix}decoder_embed.weight" in state else "timm"
