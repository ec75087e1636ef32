# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Each kind of image encoder filled with the tensors of a file, once these have been held against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radbundles.components.hub.encoder_file import (
    ANCHORS,
    EncoderFile,
    find_encoder,
    locate_weights,
    told_heads,
    transformers_config,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from radbundles.networks import ResNetEncoder, TransformersImageEncoder, ViTEncoder

# Models of transformers that a ViTEncoder can compute.
_PLAIN = ("vit", "vit_mae", "vit_msn", "deit", "dinov2")

# Parts outside the blocks that change the features, so that leaving them out would load another model.
_FOREIGN = ("reg_token", "register_tokens", "norm_pre", "rel_pos_bias")

_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("norm",), "the encoder ends without a norm"),
    (("head", "head_dist", "fc", "fc_norm", "classifier", "pooler", "pre_logits"), "a head of another task"),
    (("dist_token",), "the distillation token, which this encoder does not have"),
    (("layer2", "layer3", "layer4"), "a stage that this encoder does not have"),
)
_OTHER = "not part of the image encoder"

# Settings of a model of transformers that decide what it computes.
_SETTINGS = (
    "model_type hidden_size hidden_sizes embed_dim num_hidden_layers depths num_attention_heads num_heads "
    "intermediate_size mlp_ratio patch_size window_size num_channels hidden_act layer_norm_eps num_register_tokens"
).split()


def fill_vit(encoder: ViTEncoder, path: Path, image: str) -> dict[str, Any]:
    """Fill a ViTEncoder; see :func:`~radbundles.components.hub.load_encoder` for arguments, report and errors."""
    from radbundles.networks.vit_keys import vit_sizes, vit_tensors

    block: Any = encoder.blocks[0]
    notes: list[str] = []
    config = transformers_config(path)
    heads = told_heads(path)
    if config is not None:
        _check_plain(path.name, config)
        heads, eps = config.get("num_attention_heads"), config.get("layer_norm_eps", block.norm1.eps)
        if eps != block.norm1.eps:
            notes.append(f"the norms were trained with an epsilon of {eps}, the encoder has {block.norm1.eps}")
    found = find_encoder(locate_weights(path, image=image), ANCHORS["vit"], image=image)
    given = vit_tensors(found.tensors)
    _compare(found.path.name, "ViT", vit_sizes(given.tensors), vit_sizes(encoder.state_dict()))
    if heads is None:
        notes.append(f"the file does not tell its number of attention heads; the encoder has {block.attn.heads}")
    else:
        _compare(found.path.name, "ViT", {"heads": heads}, {"heads": block.attn.heads})
    if scales := sum(len(keys) == 2 for keys in given.sources.values()):
        notes.append(f"{scales} layer scales were multiplied into the weights that they scale")
    if "dist_token" in given.tensors:
        notes.append("the model was trained with a distillation token: without it its features differ somewhat")
    tensors = dict(given.tensors)
    if "pos_embed" in tensors:
        tensors["pos_embed"] = _fit_table(tensors["pos_embed"], encoder.grid, found.path.name)
    return {**_fill(encoder, found, tensors, given.sources), "notes": notes}


def fill_resnet(encoder: ResNetEncoder, path: Path, image: str) -> dict[str, Any]:
    """Fill a ResNetEncoder, with the first stages of the file if it has fewer."""
    found = find_encoder(locate_weights(path, image=image), ANCHORS["resnet"], image=image)
    stages = len(encoder.stage_channels)
    given = _resnet_sizes(found.tensors, stages)
    _compare(found.path.name, "ResNet", given, _resnet_sizes(encoder.state_dict(), stages))
    return _fill(encoder, found, found.tensors)


def fill_transformers(encoder: TransformersImageEncoder, path: Path, image: str) -> dict[str, Any]:
    """Fill a TransformersImageEncoder from a folder of the library, or from a run of ours."""
    own = encoder.state_dict()
    config = transformers_config(path)
    if config is None:
        found = find_encoder(locate_weights(path, image=image), [next(iter(own))], image=image)
        return _fill(encoder, found, _fit_tables(found.tensors, own))

    from radbundles.networks.checkpoint_file import read_checkpoint
    from radbundles.networks.pretrained_model import read_pretrained_model

    _compare(path.name, "model", *_settings(config, encoder.model.config.to_dict()))
    file = locate_weights(path, image=image)
    model, unused = read_pretrained_model(file.parent)
    # The library renames keys on its way and drops the prefix of models with a head.
    keys = list(read_checkpoint(file))
    left_out = [key for key in keys if key in unused or key.endswith(tuple(f".{one}" for one in unused))]
    tensors = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    found = EncoderFile(path=file, format="transformers", prefix="", tensors=tensors, outside=left_out)
    report = _fill(encoder, found, _fit_tables(tensors, own))
    for entry in report["resized"]:
        entry["key"] = next(key for key in keys if key.endswith(entry["key"].rsplit(".", 1)[-1]))
    return {**report, "loaded": [key for key in keys if key not in left_out]}


def _fill(
    encoder: nn.Module,
    found: EncoderFile,
    tensors: Mapping[str, torch.Tensor],
    sources: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Copy tensors into the encoder if there is one of the right shape for each of its own.

    Args:
        encoder: changed in place.
        found: where the tensors come from.
        tensors: those of the file under the encoder's names.
        sources: keys of the file, without the prefix, that each was made of; by default its own name.
    """
    from radbundles.networks.checkpoint_file import file_provenance

    own, name = encoder.state_dict(), found.path.name
    sources = sources or {key: [key] for key in tensors}
    parts = {key.split(".")[0] for key in own}
    foreign = [key for key in tensors if key not in own and key.split(".")[0] in (*parts, *_FOREIGN)]
    if foreign:
        key, more = found.prefix + sources[foreign[0]][0], f" and {len(foreign) - 1} more" if foreign[1:] else ""
        raise ValueError(f"{name} has {key!r}{more}: part of its features, and without a place in this encoder")
    untouched = [key for key in own if key not in tensors and key.endswith(".num_batches_tracked")]
    if missing := [key for key in own if key not in tensors and key not in untouched]:
        hint = "; set norm to false" if all(key.startswith("norm.") for key in missing) else ""
        raise ValueError(f"{name} lacks {len(missing)} tensors of the encoder: {', '.join(missing[:3])}{hint}")
    shapes = {key: (tuple(tensors[key].shape), tuple(own[key].shape)) for key in own if key in tensors}
    if wrong := [key for key, (given, wanted) in shapes.items() if given != wanted]:
        given, wanted = shapes[wrong[0]]
        raise ValueError(f"{name}: {len(wrong)} tensors have another shape, first {wrong[0]} {given}, wanted {wanted}")
    encoder.load_state_dict({**own, **{key: tensors[key] for key in shapes}})

    left_out = [(key, _reason(ours)) for ours in tensors if ours not in own for key in sources[ours]]
    return {
        "file": file_provenance(found.path),
        "format": found.format,
        "loaded": [found.prefix + key for ours in own if ours in tensors for key in sources[ours]],
        "resized": [
            {"key": found.prefix + key, "from": list(found.tensors[key].shape), "to": list(tensors[ours].shape)}
            for ours in shapes
            for key in sources[ours]
            if len(sources[ours]) == 1 and found.tensors[key].shape != tensors[ours].shape
        ],
        "left_out": [{"key": found.prefix + key, "reason": reason} for key, reason in left_out]
        + [{"key": key, "reason": _OTHER} for key in found.outside],
        "untouched": untouched,
        "notes": [],
    }


def _reason(key: str) -> str:
    part = key.split(".")[0]
    if part.startswith(("decoder", "mask_token")):
        return "part of masked training"
    return next((reason for parts, reason in _REASONS if part in parts), _OTHER)


def _fit_table(table: torch.Tensor, grid: tuple[int, int], name: str) -> torch.Tensor:
    """Position table of the class token and the grid, out of one with or without further tokens."""
    import torch

    from radbundles.networks.position_table import resize_position_table
    from radbundles.networks.vit_keys import position_prefix

    try:
        before = position_prefix(table)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    table = resize_position_table(table, grid, prefix_tokens=before)
    cells = table[:, before:]
    first = table[:, :1] if before else table.new_zeros(1, 1, table.shape[2])
    return torch.cat([first, cells], dim=1)


def _fit_tables(tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Resize position tables of transformers to the grid of the encoder."""
    from radbundles.networks.position_table import resize_position_table
    from radbundles.networks.vit_keys import position_prefix

    fitted = dict(tensors)
    for key, table in tensors.items():
        wanted = own.get(key)
        if key.endswith("position_embeddings") and wanted is not None and wanted.shape != table.shape:
            before = position_prefix(wanted)
            side = round((wanted.shape[1] - before) ** 0.5)
            fitted[key] = resize_position_table(table, (side, side), prefix_tokens=before)
    return fitted


def _check_plain(name: str, config: Mapping[str, Any]) -> None:
    if config["model_type"] not in _PLAIN:
        raise ValueError(
            f"{name} is a {config['model_type']}, not one of {', '.join(_PLAIN)}: use an encoder of kind "
            '"transformers" with its configuration'
        )
    if config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"{name} has the activation {config['hidden_act']!r}, the encoder has 'gelu'")


def _resnet_sizes(tensors: Mapping[str, torch.Tensor], stages: int) -> dict[str, Any]:
    def blocks(stage: int) -> list[str]:
        return sorted({key.split(".")[1] for key in tensors if key.startswith(f"layer{stage}.")})

    def width(key: str, axis: int) -> int | None:
        return tensors[key].shape[axis] if key in tensors else None

    return {
        "block": "bottleneck" if "layer1.0.conv3.weight" in tensors else "basic",
        "channels": width("conv1.weight", 1),
        "widths": [width(f"layer{stage}.0.conv1.weight", 0) for stage in range(1, stages + 1)],
        "blocks": [len(blocks(stage)) for stage in range(1, stages + 1)],
    }


def _settings(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both configurations of transformers tell of what the model computes."""
    keys = [key for key in _SETTINGS if key in given and key in wanted]
    return {key: given[key] for key in keys}, {key: wanted[key] for key in keys}


def _compare(name: str, kind: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = {key: value for key, value in wanted.items() if given.get(key) != value}
    if differing:
        raise ValueError(
            f"{name} holds a {kind} of {_told(given)}; the configuration asks for {_told(differing)}: "
            "set it to what the file has, or name another file"
        )


def _told(sizes: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in sizes.items()
    )
