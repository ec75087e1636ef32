# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether an image is one that a network for frontal chest radiographs can be asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from monai.data import MetaTensor

__all__ = ["Concern", "RadiographRefused", "check_radiograph", "require_radiograph"]

SMALLEST = 64  # pixels of the shorter side: a lung is then some 20 pixels wide
LONGEST = 2.0  # longer side / shorter side
BLANK = 0.02  # spread of local means, 5 of 255 gray levels; the faintest real films have about 0.14
_GRID = 32
_LATERAL = {"LL": "a left lateral view", "RL": "a right lateral view", "LATERAL": "a lateral view"}
_UNUSUAL = {"OBLIQUE": "an oblique view", "DECUBITUS": "a view of a patient lying on one side"}
_CHEST = ("CHEST", "THORAX", "TORAX", "LUNG")


@dataclass(frozen=True)
class Concern:
    """Something that makes an answer about an image doubtful, or meaningless.

    Attributes:
        kind: one word: ``"blank"``, ``"lateral"``, ``"small"``, ``"view"``, ``"body_part"``, ``"color"`` or
            ``"elongated"``.
        reason: one sentence for the user.
        refused: whether no answer should be given.
    """

    kind: str
    reason: str
    refused: bool = False


class RadiographRefused(ValueError):  # noqa: N818 - it is the image that is refused, nothing failed
    """An image that no answer should be given about; ``concerns`` tells all that speaks against it."""

    def __init__(self, message: str, concerns: list[Concern]) -> None:
        super().__init__(message)
        self.concerns = concerns

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.concerns)  # comes back from worker processes


def check_radiograph(image: torch.Tensor, meta: Mapping[str, Any] | None = None) -> list[Concern]:
    """Look for reasons not to trust an answer about an image.

    Refused are images of less than 64 pixels, blank ones (nothing but noise and small marks), and lateral views by
    their DICOM attributes. Warned of are oblique views and patients lying on a side, body parts other than the chest,
    colored pictures, and images more than twice as long as wide.

    Pictures and NIfTI files do not tell their view, so a lateral view among them is not found out. Mirror symmetry
    does not tell it: the correlation of real frontal films with their mirror image runs from 0.25 to above 0.9.

    Args:
        image: [C, H, W] in [0, 1], as :class:`~radbundles.transforms.LoadRadiograph` gives it, before it is resized.
        meta: of the image; by default that of the MetaTensor.

    Returns:
        The concerns, refusals first; empty for a usable image.
    """
    pixels = image.as_tensor() if isinstance(image, MetaTensor) else image
    if meta is None:
        meta = image.meta if isinstance(image, MetaTensor) else {}
    height, width = pixels.shape[-2:]
    concerns = []
    if min(height, width) < SMALLEST:
        concerns.append(Concern("small", f"{height} x {width} pixels are too few, {SMALLEST} are needed", True))
    if _spread(pixels) < BLANK:
        concerns.append(Concern("blank", "the image is blank: it shows nothing but an even gray", True))
    view = str(meta.get("view") or "")
    if view in _LATERAL:
        concerns.append(Concern("lateral", f"{_LATERAL[view]} by its DICOM attributes, a frontal one is needed", True))
    if view in _UNUSUAL:
        concerns.append(Concern("view", f"{_UNUSUAL[view]} by its DICOM attributes, not an upright frontal one"))
    body_part = str(meta.get("body_part") or "")
    if body_part and not any(word in body_part.upper() for word in _CHEST):
        concerns.append(Concern("body_part", f"the body part is {body_part} by its DICOM attributes, not the chest"))
    if meta.get("colored"):
        concerns.append(Concern("color", "a colored picture, read by its brightness"))
    if max(height, width) > LONGEST * min(height, width):
        concerns.append(Concern("elongated", f"{height} x {width} pixels are an unusual shape for a chest radiograph"))
    return concerns


def require_radiograph(image: torch.Tensor, meta: Mapping[str, Any] | None = None) -> list[Concern]:
    """Refuse an image that no answer should be given about.

    Args:
        image: see :func:`check_radiograph`.
        meta: likewise.

    Returns:
        The concerns that are warnings.

    Raises:
        RadiographRefused: naming the file, if meta does, and each reason.
    """
    concerns = check_radiograph(image, meta)
    refusals = [concern.reason for concern in concerns if concern.refused]
    if refusals:
        source = meta if meta is not None else getattr(image, "meta", {})
        name = source.get("filename_or_obj")
        raise RadiographRefused(f"{name}: {'; '.join(refusals)}" if name else "; ".join(refusals), concerns)
    return concerns


def _spread(pixels: torch.Tensor) -> float:
    """Range of the local means but for the outer twentieths, which small marks, borders and noise do not reach."""
    gray = pixels.float().mean(dim=0, keepdim=True)
    means = F.adaptive_avg_pool2d(gray, (min(_GRID, gray.shape[-2]), min(_GRID, gray.shape[-1])))
    low, high = torch.quantile(means.flatten(), torch.tensor([0.05, 0.95], device=means.device))
    return float(high - low)
