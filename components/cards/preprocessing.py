# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``inference.json`` does to an image, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from radbundles.components.cards.read_bundle import BundleFiles, resolved, setting, short_name

# What a network never sees: kept beside the image for answers and pictures.
_BESIDE = ("PreviewRadiographd", "SelectItemsd")


def preprocessing_steps(files: BundleFiles) -> str:
    """Write the steps of ``preprocessing`` in ``inference.json`` as a numbered list.

    A step of another kind than those of our bundles appears by its name and its plain arguments.
    """
    steps = (files.inference.get("preprocessing") or {}).get("transforms")
    if steps is None:
        return ""
    if not isinstance(steps, list):
        return "Before inference: `preprocessing` of `configs/inference.json`."
    said = []
    for step in steps:
        step = resolved(files.inference, step)
        if isinstance(step, str):
            said.append(f"`{step}`")
        elif short_name(step.get("_target_")) not in _BESIDE and not _disabled(files, step):
            said.append(_words(files, step))
    return "\n".join(f"{number}. {text}" for number, text in enumerate(filter(None, said), 1))


def _words(files: BundleFiles, step: dict[str, Any]) -> str:
    name = short_name(step.get("_target_"))
    values = {key: resolved(files.inference, value) for key, value in step.items() if not key.startswith("_")}
    if name in _WORDS:
        return _WORDS[name](files, values)
    plain = [f"{key}={value!r}" for key, value in values.items() if isinstance(value, (int, float, str, list))]
    return f"`{name}({', '.join(plain)})`"


def _disabled(files: BundleFiles, step: dict[str, Any]) -> bool:
    """Whether a step is switched off; of expressions ``$not @name`` alone is understood."""
    switch = step.get("_disabled_", False)
    if isinstance(switch, str) and switch.startswith("$not @"):
        return not resolved(files.inference, switch[5:])
    return switch is True


def _load(files: BundleFiles, values: dict[str, Any]) -> str:
    kind = "in color" if values.get("color") == "rgb" else "gray"
    return (
        f"Load as displayed (DICOM with modality LUT, VOI LUT or window, MONOCHROME1 inverted), {kind}, values 0 to 1."
    )


def _fit(files: BundleFiles, values: dict[str, Any]) -> str:
    return f"Fit the longest side to {values.get('size')} pixels and pad with zeros to a square."


def _resize(files: BundleFiles, values: dict[str, Any]) -> str:
    return f"Resize to {values.get('size')} x {values.get('size')} pixels."


def _normalize(files: BundleFiles, values: dict[str, Any]) -> str:
    return f"Subtract {values.get('subtrahend')}, divide by {values.get('divisor')}."


def _repeat(files: BundleFiles, values: dict[str, Any]) -> str:
    if resolved(files.inference, "@color") == "rgb":
        return ""
    channels = values.get("repeats")
    if not isinstance(channels, int):  # an expression; the metadata has what it comes to
        channels = setting(files.metadata, "network_data_format#inputs#image#num_channels")
    return f"Repeat the channel {channels} times." if channels != 1 else ""


def _require(files: BundleFiles, values: dict[str, Any]) -> str:
    return "Refuse an image whose tags say that it is no frontal chest radiograph."


_WORDS: dict[str, Callable[[BundleFiles, dict[str, Any]], str]] = {
    "LoadRadiographd": _load,
    "RequireRadiographd": _require,
    "FitRadiographd": _fit,
    "ResizeRadiographd": _resize,
    "NormalizeIntensityd": _normalize,
    "RepeatChanneld": _repeat,
}
