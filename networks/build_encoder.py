# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders by a few plain values, as a configuration file has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn
from transformers import AutoConfig

from radbundles.networks.plain_config import plain_config
from radbundles.networks.resnet_encoder import ResNetEncoder
from radbundles.networks.transformers_encoder import TransformersImageEncoder
from radbundles.networks.vit_encoder import ViTEncoder

_VIT = ("patch_size", "dim", "depth", "heads", "mlp_ratio", "norm", "eps")
_RESNET = ("depth", "widths", "blocks", "max_pool")


def build_encoder(
    encoder: Mapping[str, Any], *, image_size: int, channels: int = 3, drop_path: float = 0.0
) -> nn.Module:
    """Build an untrained image encoder out of values that a JSON file can hold.

    The three kinds and what each takes; what is left out has the default of the class::

        {"kind": "vit", "patch_size": 16, "dim": 768, "depth": 12, "heads": 12, "mlp_ratio": 4, "norm": false}
        {"kind": "resnet", "depth": 50, "widths": [64, 128, 256, 512], "blocks": [3, 4, 6, 3], "max_pool": true}
        {"kind": "transformers", "config": {"model_type": "swin", "embed_dim": 96}}

    They are :class:`ViTEncoder` (ECAMP, MAE, plain ViTs, also those of transformers; it takes the ``eps`` of its norms,
    too), :class:`ResNetEncoder` (DCXFM, ImageNet) and :class:`TransformersImageEncoder` (everything else of the
    library). :func:`~radbundles.components.hub.load_encoder` fills them from a file.

    Args:
        encoder: ``kind`` and its values.
        image_size: side of the image in pixels.
        channels: channels of the image.
        drop_path: highest rate of stochastic depth; a ResNet and some models of transformers have none.

    Returns:
        A module that maps [B, channels, image_size, image_size] to [B, out_channels, h, w], with the attributes
        ``out_channels`` and ``stride``, the pixels that a cell stands for.

    Raises:
        ValueError: if the kind or a key is unknown, or values do not fit.
    """
    values = dict(encoder)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in _BUILDERS:
        raise ValueError(f"encoder needs a kind of {', '.join(_BUILDERS)}, got {kind!r}{_closest(kind, _BUILDERS)}")
    keys, build = _BUILDERS[kind]
    if unknown := [key for key in values if key not in keys]:
        hint = _closest(unknown[0], keys)
        raise ValueError(f"an encoder of kind {kind!r} has no {unknown[0]!r}{hint}; it takes {', '.join(keys)}")
    return build(values, image_size, channels, drop_path)


def _vit(values: dict[str, Any], image_size: int, channels: int, drop_path: float) -> nn.Module:
    return ViTEncoder(image_size=image_size, in_channels=channels, drop_path=drop_path, **values)


def _resnet(values: dict[str, Any], image_size: int, channels: int, drop_path: float) -> nn.Module:
    if drop_path:
        raise ValueError(f"a resnet has no stochastic depth: set drop_path to 0, not {drop_path}")
    return ResNetEncoder(in_channels=channels, **values)


def _transformers(values: dict[str, Any], image_size: int, channels: int, drop_path: float) -> nn.Module:
    config = values.get("config")
    if not isinstance(config, Mapping) or "model_type" not in config:
        raise ValueError(f"an encoder of kind 'transformers' needs a config with a model_type, got {config!r}")
    settings = AutoConfig.for_model(**plain_config(config))
    if drop_path and not hasattr(settings, "drop_path_rate"):
        raise ValueError(f"{config['model_type']} has no stochastic depth: set drop_path to 0, not {drop_path}")
    ours = {"image_size": image_size, "num_channels": channels, "drop_path_rate": drop_path}
    return TransformersImageEncoder(
        {**{key: value for key, value in ours.items() if hasattr(settings, key)}, **config},
    )


_BUILDERS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any], int, int, float], nn.Module]]] = {
    "vit": (_VIT, _vit),
    "resnet": (_RESNET, _resnet),
    "transformers": (("config",), _transformers),
}


def _closest(name: object, known: Collection[str]) -> str:
    match = get_close_matches(str(name), known, n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""
