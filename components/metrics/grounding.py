# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""IoU, Dice, pointing game and contrast-to-noise ratio of similarity maps, many maps at once."""

from __future__ import annotations

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor
from torch import Tensor

from radbundles.components.metrics.protocols import GroundingProtocol, grounding_protocol

__all__ = ["GROUNDING_SCORES", "grounding_score", "grounding_scores"]

GROUNDING_SCORES = ("iou", "dice", "pointing", "cnr")
# Pixels at a time. The memory does not grow with the maps, and on a processor what a tile needs stays in its cache.
_TILE = {"cpu": 2**16}
_LARGE_TILE = 2**24
# Both sides of the mask vary less than rounding does: there is no noise to compare the contrast with.
_NO_VARIANCE = 1e-12
_RANGE = {"cosine": (-1.0, 1.0), "probability": (0.0, 1.0)}
_ROUNDING = 1e-3  # bfloat16 networks and interpolation leave the range by this much


def grounding_scores(
    maps: NdarrayOrTensor, masks: NdarrayOrTensor, protocol: str | GroundingProtocol = "dcxfm"
) -> dict[str, Tensor]:
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
        maps: [N, H, W], tensor or array of any floating type; half precision is computed in float32.
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
    images, inside = (convert_to_tensor(part, track_meta=False) for part in (maps, masks))
    _check_form(images, inside)
    images, inside = images.detach().flatten(1), inside.flatten(1)  # [N, P]
    low, high = images.amin(1, keepdim=True), images.amax(1, keepdim=True)  # [N, 1]; aminmax takes ten times as long
    if images.dtype in (torch.float16, torch.bfloat16):
        low, high = low.float(), high.float()
    _check_values(low, high, protocol)
    N, P = images.shape
    tile = _TILE.get(images.device.type, _LARGE_TILE)
    rows = max(1, tile // P)
    pieces = [
        _score(images[part], inside[part], low[part], high[part], protocol, width=tile // rows)
        for part in (slice(start, start + rows) for start in range(0, N, rows))
    ]
    scores = torch.cat(pieces, dim=1) if pieces else images.new_zeros(len(GROUNDING_SCORES), 0, dtype=torch.float64)
    return dict(zip(GROUNDING_SCORES, scores, strict=True))


def grounding_score(
    map: NdarrayOrTensor, mask: NdarrayOrTensor, protocol: str | GroundingProtocol = "dcxfm"
) -> dict[str, float]:
    """Score one map [H, W] against its mask [H, W]; see :func:`grounding_scores`."""
    scores = grounding_scores(map[None], mask[None], protocol)
    return {name: values.item() for name, values in scores.items()}


def _check_form(maps: Tensor, masks: Tensor) -> None:
    if not maps.is_floating_point():
        raise TypeError(f"maps must be of a floating type, got {maps.dtype}")
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must be bool, got {masks.dtype}: say with a comparison what is inside")
    if maps.ndim != 3 or maps.shape != masks.shape or not maps.shape[1:].numel():
        shapes = f"{list(maps.shape)} and {list(masks.shape)}"
        raise ValueError(f"maps and masks must both be [N, H, W] with at least one pixel, got {shapes}")


def _check_values(low: Tensor, high: Tensor, protocol: GroundingProtocol) -> None:
    # amin and amax hand nan on, so the extremes tell of every pixel.
    wrong = ~(low.isfinite() & high.isfinite())[:, 0]
    if wrong.any():
        raise ValueError(f"map {int(wrong.int().argmax())} has pixels that are not finite numbers")
    if protocol.scale in _RANGE:
        bottom, top = _RANGE[protocol.scale]
        wrong = ((low < bottom - _ROUNDING) | (high > top + _ROUNDING))[:, 0]
        if wrong.any():
            place = int(wrong.int().argmax())
            found = f"{low[place].item():.4g} to {high[place].item():.4g}"
            raise ValueError(
                f"map {place} has values from {found}, but the scale {protocol.scale!r} of protocol "
                f"{protocol.name!r} goes from {bottom:g} to {top:g}; scale 'minmax' takes any values"
            )


def _score(
    maps: Tensor, masks: Tensor, low: Tensor, high: Tensor, protocol: GroundingProtocol, *, width: int
) -> Tensor:
    """The four scores of n maps [n, P], read in tiles of ``width`` pixels -> [4, n]."""
    n, P = maps.shape
    levels = len(protocol.thresholds) + 1
    flat = low == high
    spread = (high - low).masked_fill(flat, 1)
    counts = torch.zeros(n, 2, 2, levels, dtype=torch.int64, device=maps.device)
    # sums and sums of squares over the mask and over everything
    moments = torch.zeros(2, 2, n, dtype=torch.float64, device=maps.device)
    for start in range(0, P, width):
        pixels, inside = maps[:, start : start + width], masks[:, start : start + width]
        if pixels.dtype in (torch.float16, torch.bfloat16):
            pixels = pixels.float()
        # before any scaling, so that no rounding makes or breaks a tie; a flat map has no top
        top = _reached(pixels, high.masked_fill(flat, torch.inf))
        stretched = (pixels - low).mul_(2).div_(spread).sub_(1)
        counts += _histogram(stretched if protocol.scale == "minmax" else pixels, inside, top, protocol)
        values = stretched.double()
        masked = values * inside.view(torch.uint8).double()
        moments[0, 0] += masked.sum(1)
        moments[0, 1] += values.sum(1)
        moments[1, 0] += torch.linalg.vecdot(masked, values)
        moments[1, 1] += torch.linalg.vecdot(values, values)
    number = torch.stack([counts[:, 1].sum((1, 2)), torch.full_like(counts[:, 0, 0, 0], P)])
    hit = counts[:, 1, 1].sum(1) > 0
    contrast = _contrast(moments, number, signed=protocol.cnr == "signed")
    return torch.stack([*_overlap(counts.sum(2)), hit.double(), contrast])


def _histogram(values: Tensor, inside: Tensor, top: Tensor, protocol: GroundingProtocol) -> Tensor:
    """Pixels by (mask, maximum, number of thresholds passed): int64 [n, 2, 2, levels]."""
    n, levels = len(values), len(protocol.thresholds) + 1
    # Adding bytes is several times as fast as adding them to whole numbers; they hold 63 thresholds.
    bins = inside.to(torch.uint8 if 4 * levels <= 256 else torch.int32).mul_(2)  # [n, width]
    bins.add_(top.view(torch.uint8)).mul_(levels)
    for threshold in protocol.thresholds:
        bins += _reached(values, threshold, strict=protocol.strict).view(torch.uint8)
    first = torch.arange(0, 4 * n * levels, 4 * levels, dtype=torch.int32, device=values.device)
    return torch.bincount((bins + first[:, None]).flatten(), minlength=4 * n * levels).reshape(n, 2, 2, levels)


def _reached(values: Tensor, threshold: Tensor | float, *, strict: bool = False) -> Tensor:
    """Where values are at or above a threshold, or with ``strict`` above it."""
    if values.device.type != "cpu":
        return values > threshold if strict else values >= threshold
    # On a processor NumPy compares ten times as fast as torch, and most of the time goes into comparing.
    other = threshold.numpy() if isinstance(threshold, Tensor) else threshold
    return torch.from_numpy((np.greater if strict else np.greater_equal)(values.numpy(), other))


def _overlap(counts: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and Dice [n] of pixels counted by (mask, number of thresholds passed), [n, 2, levels]."""
    reached = counts.double().flip(-1).cumsum(-1).flip(-1)  # passed at least 0, 1, 2, ..
    false_positive, true_positive = reached[..., 1:].unbind(1)  # [n, thresholds] each
    wrong = false_positive + reached[:, 1, :1] - true_positive
    iou = (true_positive / (true_positive + wrong)).nan_to_num(1.0)
    dice = (2 * true_positive / (2 * true_positive + wrong)).nan_to_num(1.0)
    return iou.mean(1), dice.mean(1)


def _contrast(moments: Tensor, number: Tensor, *, signed: bool) -> Tensor:
    """CNR [n] from the moments of maps in -1..1, whose variances double precision leaves exact to about 1e-15.

    Args:
        moments: [2, 2, n], sums and sums of squares, over the mask and over everything.
        number: [2, n], pixels of the mask and of everything.
        signed: keep the sign of the difference.
    """
    sums, squares, number = (
        torch.stack([over_mask, over_all - over_mask]) for over_mask, over_all in (*moments, number)
    )
    means = sums / number  # [2, n]: inside, outside
    variance = (squares / number - means.square()).clamp_min(0).sum(0)
    difference = means[0] - means[1]
    ratio = (difference if signed else difference.abs()) / variance.sqrt()
    return torch.where(variance < _NO_VARIANCE, 0.0, ratio)
