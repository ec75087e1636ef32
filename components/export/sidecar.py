# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands beside an exported network: all that its user must know to feed it and to read what it gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import radbundles
from radbundles.components.export.asked_network import AskedAggregation, AskedTowers
from radbundles.networks import BoxDetector, EncoderClassifier, EncoderSegmenter

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

    from radbundles.components.hub.bundles import Bundle

# Settings of inference configs that say how an answer is made of what the network gives.
_ANSWER = (
    "task phrases classes entities negatives prompts style maps smoothing threshold level min_similarity min_area "
    "score_threshold nms_iou max_detections"
).split()
_PLAIN = (str, int, float, bool, type(None))


def describe_export(
    parser: ConfigParser, module: nn.Module, example: torch.Tensor, *, bundle: Bundle, form: str, trained: bool
) -> dict[str, Any]:
    """Describe an exported network as plain JSON values.

    Args:
        parser: of the inference config.
        module: what is exported.
        example: images that it takes.
        bundle: where it comes from.
        form: of the file.
        trained: whether its weights are.
    """
    with torch.inference_mode():
        pred = module(example)
    get = parser.get_parsed_content
    image = get("_meta_#network_data_format#inputs#image")
    settings = {key: get(key) for key in _ANSWER if key in parser.get()}
    names = [*(settings.get("phrases") or []), *(settings.get("classes") or settings.get("entities") or [])]
    return {
        "bundle": bundle.name,
        "version": bundle.version,
        "form": form,
        "trained": trained,
        "input": {
            "name": "image",
            "shape": ["batch", *example.shape[1:]],
            "dtype": "float32",
            "value_range": image["value_range"],
            "preprocessing": _preprocessing(parser),
        },
        "output": {
            "name": "pred",
            "shape": ["batch", *pred.shape[1:]],
            "dtype": str(pred.dtype).removeprefix("torch."),
            "meaning": _meaning(module, get("_meta_#network_data_format#outputs#pred"), settings),
            "classes": names,
        },
        "operating_points": get("_meta_").get("operating_points") or None,
        "settings": {key: value for key, value in settings.items() if key not in ("phrases", "classes", "entities")},
        "versions": {"radbundles": radbundles.__version__, "torch": torch.__version__},
        "note": "Research software, not a medical device.",
    }


def _meaning(module: nn.Module, pred: dict[str, Any], settings: dict[str, Any]) -> str:
    if isinstance(module, BoxDetector):
        return (
            "every box the detector can tell of: x0, y0, x1, y1 in pixels of the input square, then a score from 0 to "
            "1 for each class; drop those below score_threshold and suppress those that overlap a better one of the "
            "same class by more than nms_iou"
        )
    if isinstance(module, EncoderClassifier):
        function = "softmax over the classes" if settings.get("task") == "multiclass" else "sigmoid"
        return f"logits of the classes; the probability is their {function}, calibrated by the operating points"
    if isinstance(module, EncoderSegmenter):
        return "logits of each pixel of the input square for each class; the probability is their sigmoid"
    if isinstance(module, AskedAggregation):
        return "logits of each pixel of the input square for each class; the score, no probability, is their sigmoid"
    if isinstance(module, AskedTowers):
        values = "scores from 0 to 1 against the denial" if settings.get("negatives") else "similarities"
        return f"maps of {values}, no probabilities, for each class over the cells of the input square"
    return f"{pred['type']} ({pred['format']}), see the bundle's metadata"


def _preprocessing(parser: ConfigParser) -> list[dict[str, Any]]:
    """The steps of the config with their values as they are used; a value that is no plain one is told as text."""
    steps = []
    for number, step in enumerate(parser.get("preprocessing#transforms")):
        where = f"preprocessing#transforms#{number}"
        if parser.get_parsed_content(f"{where}#_disabled_", default=False):
            continue
        given = {key: parser.get_parsed_content(f"{where}#{key}") for key in step if not key.startswith("_")}
        steps.append({"transform": step["_target_"], **{key: _plain(value) for key, value in given.items()}})
    return steps


def _plain(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return str(value)
