# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""IoU, Dice, pointing game and contrast-to-noise ratio of similarity maps, many maps at once."""

from __future__ import annotations

import torch
from torch import Tensor

from radbundles.components.metrics.protocols import GroundingProtocol, grounding_protocol

__all__ = ["GROUNDING_SCORES", "grounding_score", "grounding_scores"]

GROUNDING_SCORES = ("iou", "dice", "pointing", "cnr")
# Pixels at a time: the double-precision copies stay in the cache and do not grow with the number of maps.
_CHUNK = 2**19
# Both sides of the mask vary less than rounding does: there is no noise to compare the contrast with.
_NO_VARIANCE = 1e-12
_RANGE = {"cosine": (-1.0, 1.0), "probability": (0.0, 1.0)}
_ROUNDING = 1e-3  # bfloat16 networks and interpolation leave the range by this much


def grounding_scores(maps: Tensor, masks: Tensor, protocol: str | GroundingProtocol = "dcxfm") -> dict[str, Tensor]:
    """Score N maps of one size against their masks.

    * ``iou`` = TP / (TP + FP + FN) and ``dice`` = 2 TP / (2 TP + FP + FN), each the mean over the thresholds; 1 where
      mask and prediction are both empty.
    * ``pointing`` = 1 if a pixel that equals the maximum of the map lies in the mask, else 0.
    * ``cnr`` = (mean inside - mean outside) / sqrt(variance inside + variance outside), population variances; 0 where
      both vanish, ``nan`` where the mask is empty or covers everything. No scaling of the map changes it.

    A constant map points nowhere: ``pointing`` and ``cnr`` are 0, and stretched to -1..1 it is -1 everywhere. (By
    the letter all its pixels equal the maximum, and a collapsed network would win the pointing game. Official: the
    stretched map is nan, which gives the same scores.)

    Args:
        maps: [N, H, W], any floating type; half precision is computed in float32.
        masks: [N, H, W] bool, true inside.
        protocol: name in :data:`~radbundles.components.metrics.PROTOCOLS`, or a protocol.

    Returns:
        ``iou``, ``dice``, ``pointing``, ``cnr``: float64 tensors [N] on the device of the maps.

    Raises:
        TypeError: masks that are not bool, or maps of whole numbers.
        ValueError: shapes that differ or are empty, values that are not finite or leave the range of the scale, with
            the place of the first such map.
    """
    protocol = grounding_protocol(protocol)
    maps, masks = torch.as_tensor(maps), torch.as_tensor(masks)
    _check_form(maps, masks)
    N = len(maps)
    maps, masks = maps.detach().flatten(1), masks.flatten(1)  # [N, P]
    step = max(1, _CHUNK // maps.shape[1])
    pieces = [
        _score(maps[start : start + step], masks[start : start + step], protocol, start) for start in range(0, N, step)
    ]
    if not pieces:
        return {name: maps.new_zeros(0, dtype=torch.float64) for name in GROUNDING_SCORES}
    return {name: torch.cat([piece[name] for piece in pieces]) for name in GROUNDING_SCORES}


def grounding_score(map: Tensor, mask: Tensor, protocol: str | GroundingProtocol = "dcxfm") -> dict[str, float]:
    """Score one map [H, W] against its mask [H, W]; see :func:`grounding_scores`."""
    scores = grounding_scores(torch.as_tensor(map)[None], torch.as_tensor(mask)[None], protocol)
    return {name: values.item() for name, values in scores.items()}


def _check_form(maps: Tensor, masks: Tensor) -> None:
    if not maps.is_floating_point():
        raise TypeError(f"maps must be of a floating type, got {maps.dtype}")
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must be bool, got {masks.dtype}: say with a comparison what is inside")
    if maps.ndim != 3 or maps.shape != masks.shape or not maps.shape[1:].numel():
        shapes = f"{list(maps.shape)} and {list(masks.shape)}"
        raise ValueError(f"maps and masks must both be [N, H, W] with at least one pixel, got {shapes}")


def _score(maps: Tensor, masks: Tensor, protocol: GroundingProtocol, start: int) -> dict[str, Tensor]:
    if maps.dtype in (torch.float16, torch.bfloat16):
        maps = maps.float()
    low, high = maps.aminmax(dim=1, keepdim=True)  # [n, 1]
    _check_values(low, high, protocol, start)
    spread = high - low
    flat = spread == 0
    stretched = 2 * (maps - low) / torch.where(flat, 1, spread) - 1
    # The comparison with the maximum is made in the map's own type, so no rounding makes or breaks a tie.
    hit = torch.where(masks, maps, -torch.inf).amax(1, keepdim=True) == high
    iou, dice = _overlap(stretched if protocol.scale == "minmax" else maps, masks, protocol)
    return {
        "iou": iou,
        "dice": dice,
        "pointing": (hit & ~flat)[:, 0].double(),
        "cnr": _contrast(stretched, masks, signed=protocol.cnr == "signed"),
    }


def _check_values(low: Tensor, high: Tensor, protocol: GroundingProtocol, start: int) -> None:
    # aminmax hands nan on, so the extremes tell of every pixel.
    wrong = ~(low.isfinite() & high.isfinite())[:, 0]
    if wrong.any():
        raise ValueError(f"map {start + int(wrong.int().argmax())} has pixels that are not finite numbers")
    if protocol.scale in _RANGE:
        bottom, top = _RANGE[protocol.scale]
        wrong = ((low < bottom - _ROUNDING) | (high > top + _ROUNDING))[:, 0]
        if wrong.any():
            place = int(wrong.int().argmax())
            found = f"{low[place].item():.4g} to {high[place].item():.4g}"
            raise ValueError(
                f"map {start + place} has values from {found}, but the scale {protocol.scale!r} of protocol "
                f"{protocol.name!r} goes from {bottom:g} to {top:g}; scale 'minmax' takes any values"
            )


def _overlap(maps: Tensor, masks: Tensor, protocol: GroundingProtocol) -> tuple[Tensor, Tensor]:
    """IoU and Dice [n] from one histogram of (mask, number of thresholds passed), which is exact in whole numbers."""
    n, T = len(maps), len(protocol.thresholds)
    passed = masks.to(torch.int32) * (T + 1)  # [n, P]
    for threshold in protocol.thresholds:
        passed += maps > threshold if protocol.strict else maps >= threshold
    passed += torch.arange(0, 2 * n * (T + 1), 2 * (T + 1), dtype=torch.int32, device=maps.device)[:, None]
    counts = torch.bincount(passed.flatten(), minlength=2 * n * (T + 1)).reshape(n, 2, T + 1).double()
    predicted = counts.flip(-1).cumsum(-1).flip(-1)[..., 1:]  # passed at least 1, 2, .., T -> [n, 2, T]
    false_positive, true_positive = predicted.unbind(1)
    missed = counts[:, 1].sum(-1, keepdim=True) - true_positive
    wrong = false_positive + missed
    iou = (true_positive / (true_positive + wrong)).nan_to_num(1.0)
    dice = (2 * true_positive / (2 * true_positive + wrong)).nan_to_num(1.0)
    return iou.mean(1), dice.mean(1)


def _contrast(maps: Tensor, masks: Tensor, *, signed: bool) -> Tensor:
    """CNR [n] of maps in -1..1, where double precision leaves the variances exact to about 1e-15."""
    maps = maps.double()
    inside = torch.where(masks, maps, 0)
    pixels = masks.sum(1)
    sums = torch.stack([inside.sum(1), maps.sum(1)])
    squares = torch.stack([torch.linalg.vecdot(inside, inside), torch.linalg.vecdot(maps, maps)])
    number = torch.stack([pixels, masks.shape[1] - pixels])
    sums[1] -= sums[0]
    squares[1] -= squares[0]
    means = sums / number  # [2, n]: inside, outside
    variance = (squares / number - means.square()).clamp_min(0).sum(0)
    difference = means[0] - means[1]
    ratio = (difference if signed else difference.abs()) / variance.sqrt()
    return torch.where(variance < _NO_VARIANCE, 0.0, ratio)
