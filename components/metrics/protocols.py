# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How a similarity map is compared with a mask: grounding scores mean nothing without it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["PROTOCOLS", "GroundingProtocol", "grounding_protocol"]

Scale = Literal["minmax", "cosine", "probability"]
Contrast = Literal["absolute", "signed"]
Average = Literal["class", "sample"]

_SCALES = {
    "minmax": "each map scaled to -1..1 by its own minimum and maximum",
    "cosine": "cosine similarity as it is, -1..1",
    "probability": "probability as it is, 0..1",
}
_AVERAGES = {"class": "unweighted mean of the class means", "sample": "mean over the samples"}


@dataclass(frozen=True, kw_only=True)
class GroundingProtocol:
    """Scale, thresholds, contrast and average of grounding scores; its text goes with every number.

    IoU and Dice of one model differ by a factor of two between scales: thresholds on a map that is stretched to -1..1
    always find something, those on a raw cosine or a probability may find nothing (quirk Q20). So numbers are compared
    under one protocol only.

    Args:
        name: short name, used in tables.
        scale: ``"minmax"`` stretches each map to -1..1 by its own extremes, ``"cosine"`` (-1..1) and
            ``"probability"`` (0..1) take the values as they are and refuse others.
        thresholds: a pixel is predicted at or above each; IoU and Dice are means over them.
        strict: predicted only above the threshold.
        cnr: ``"absolute"`` contrast, blind to its direction, or ``"signed"``: negative where the finding is darker
            in the map than its surroundings.
        average: ``"class"``, the mean of class means, or ``"sample"``.

    Raises:
        ValueError: an unknown choice, or thresholds that are not finite, ascending and one at least.
    """

    name: str
    scale: Scale = "minmax"
    thresholds: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    strict: bool = False
    cnr: Contrast = "absolute"
    average: Average = "class"

    def __post_init__(self) -> None:
        for field, choices in (("scale", Scale), ("cnr", Contrast), ("average", Average)):
            value = getattr(self, field)
            if value not in get_args(choices):
                raise ValueError(f"{field} must be one of {', '.join(get_args(choices))}, got {value!r}")
        object.__setattr__(self, "thresholds", tuple(float(value) for value in self.thresholds))  # lists of configs
        ascending = all(low < high for low, high in zip(self.thresholds, self.thresholds[1:], strict=False))
        if not self.thresholds or not ascending or not all(map(math.isfinite, self.thresholds)):
            raise ValueError(f"thresholds must be finite and ascending, got {self.thresholds}")

    def __str__(self) -> str:
        sign = ">" if self.strict else ">="
        levels = ", ".join(f"{value:g}" for value in self.thresholds)
        contrast = "|mean inside - mean outside|" if self.cnr == "absolute" else "(mean inside - mean outside)"
        return (
            f"{self.name}: {_SCALES[self.scale]}; IoU and Dice are means over map {sign} {levels}; "
            f"CNR = {contrast} / sqrt(variance inside + variance outside); {_AVERAGES[self.average]}"
        )


PROTOCOLS: Mapping[str, GroundingProtocol] = MappingProxyType(
    {
        "dcxfm": GroundingProtocol(name="dcxfm"),
        "dcxfm_probability": GroundingProtocol(name="dcxfm_probability", scale="probability"),
        "half": GroundingProtocol(name="half", scale="probability", thresholds=(0.5,)),
        "biovil": GroundingProtocol(name="biovil", scale="cosine"),
        "afloc": GroundingProtocol(name="afloc", strict=True, cnr="signed"),
    }
)
"""Protocols by name.

* ``dcxfm``: the metric kernel of DCXFM's released code. It computes no CNR; ours is BioViL's.
* ``dcxfm_probability``: the same kernel on maps from 0 to 1 as they are, which is what that code does with the masks of
  stage 2. Its numbers do not compare with those of ``dcxfm`` (quirk Q20): give both for stage 2.
* ``half``: plain Dice and IoU of a segmentation, inside at 0.5 or above, for networks that were trained on masks.
* ``biovil``: Boecking et al., ECCV 2022 (arXiv:2204.09817): the same thresholds on the raw cosine similarity, absolute
  CNR. We know of no released code of the benchmark: whether a pixel at the threshold counts, and the average over
  classes, are assumed to be as in DCXFM.
* ``afloc``: the released evaluation of AFLoc: strict thresholds, and a CNR whose formula has the absolute value in the
  comment and not in the code. It leaves a sample out where nothing is predicted; here such a sample counts 0, since a
  map that points nowhere has not found anything. Its scale is taken to be the stretched one.
"""


def grounding_protocol(protocol: str | GroundingProtocol) -> GroundingProtocol:
    """Return a protocol that is given by name or as it is.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(protocol, GroundingProtocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be a GroundingProtocol or one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    return PROTOCOLS[protocol]
