# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What the network takes and gives, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbundles.components.cards.data_tables import table

_HEADS = ("Name", "What", "Channels", "Shape of each", "Type", "Values")


def tensor_tables(metadata: Mapping[str, Any]) -> str:
    """Write the tensors of ``network_data_format``, the names of the output's channels, and how scores become answers.

    Args:
        metadata: content of ``configs/metadata.json``.
    """
    formats = metadata.get("network_data_format") or {}
    blocks = []
    for title, key in (("Input", "inputs"), ("Output", "outputs")):
        blocks.append(table((f"{title}", *_HEADS[1:]), (_row(*pair) for pair in (formats.get(key) or {}).items())))
    if metadata.get("pred_classes"):
        blocks.append(f"`pred`: {metadata['pred_classes']}.")
    pred = (formats.get("outputs") or {}).get("pred") or {}
    names = list((pred.get("channel_def") or {}).items())
    if len(names) > 1 or pred.get("format") in ("classes", "segmentation", "boxes"):
        blocks.append(f"Channels of `pred`: {', '.join(f'{place} {name}' for place, name in names)}.")
    blocks.append(_points(metadata.get("operating_points") or {}))
    return "\n\n".join(block for block in blocks if block)


def _row(name: str, tensor: Mapping[str, Any]) -> tuple[str, ...]:
    what = [str(tensor[key]) for key in ("type", "format", "modality") if tensor.get(key)]
    shape = " x ".join(str(size) for size in tensor.get("spatial_shape") or ()) or "one number"
    span = list(tensor.get("value_range") or [])
    values = f"{span[0]:g} to {span[1]:g}" if len(span) == 2 else "any"
    return f"`{name}`", ", ".join(what), str(tensor.get("num_channels")), shape, str(tensor.get("dtype")), values


def _points(points: Mapping[str, Any]) -> str:
    """Thresholds and temperatures, where somebody has chosen them."""
    thresholds = points.get("thresholds") or {}
    if not thresholds:
        return ""
    temperatures = points.get("temperature") or {}
    rows = [
        (name, _short(value), _short(temperatures.get(name, temperatures.get("all"))))
        for name, value in thresholds.items()
    ]
    chosen = f"Chosen on the {points.get('section', 'validation')} section"
    chosen += f" ({points['samples']} images)" if "samples" in points else ""
    chosen += f" by {points['rule']}." if "rule" in points else "."
    return f"{chosen} The answer is yes from the threshold on.\n\n" + table(("Class", "Threshold", "Temperature"), rows)


def _short(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"
