# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which findings a phantom has: their names, descriptors and how often they occur together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NAMES = (
    "atelectasis",
    "cardiomegaly",
    "catheter",
    "consolidation",
    "edema",
    "effusion",
    "nodule",
    "opacity",
    "pacemaker",
    "pneumothorax",
    "tube",
)
DEVICES = ("catheter", "pacemaker", "tube")
# a consolidation is an opacity too: label, mask and boxes of the second include the first
IMPLIES = {"consolidation": "opacity"}
ZONES = ("upper", "middle", "lower")
SIDE_CHOICES = ("left", "right")
SIZES = ("small", "moderate", "large")
_SIDED = ("atelectasis", "catheter", "consolidation", "effusion", "nodule", "opacity", "pacemaker", "pneumothorax")
_ZONED = ("consolidation", "nodule", "opacity")
_SIZED = ("effusion", "pneumothorax")


@dataclass(frozen=True)
class Finding:
    """One thing that is not normal on the film.

    Args:
        name: one of ``NAMES``.
        side: ``"left"`` or ``"right"`` of the patient; empty for cardiomegaly, edema and tube. The side of a catheter
            is the side it enters from.
        zone: ``"upper"``, ``"middle"`` or ``"lower"`` for consolidation, nodule and opacity.
        size: ``"small"``, ``"moderate"`` or ``"large"`` for effusion and pneumothorax.
        millimeters: diameter of a nodule.
        subtle: so faint that a reader would not commit: labeled -1 and reported as uncertain. Devices never are.

    Raises:
        ValueError: a descriptor is missing, unknown or does not belong to the name.
    """

    name: str
    side: str = ""
    zone: str = ""
    size: str = ""
    millimeters: int = 0
    subtle: bool = False

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"unknown finding {self.name!r}: one of {', '.join(NAMES)}")
        for key, takers, choices in (
            ("side", _SIDED, SIDE_CHOICES),
            ("zone", _ZONED, ZONES),
            ("size", _SIZED, SIZES),
        ):
            value = getattr(self, key)
            if self.name in takers and value not in choices:
                raise ValueError(f"{key} of {self.name} must be one of {', '.join(choices)}, got {value!r}")
            if self.name not in takers and value:
                raise ValueError(f"{self.name} has no {key}, got {value!r}")
        if self.name == "nodule" and not 4 <= self.millimeters <= 40:
            raise ValueError(f"millimeters of a nodule must be 4 to 40, got {self.millimeters}")
        if self.name != "nodule" and self.millimeters:
            raise ValueError(f"{self.name} has no diameter, got {self.millimeters}")
        if self.subtle and self.name in DEVICES:
            raise ValueError(f"a {self.name} is never subtle")

    @property
    def text(self) -> str:
        """The finding as a phrase, such as ``small left pleural effusion``."""
        where = f"{self.side} {self.zone} zone" if self.zone else self.side
        return {
            "atelectasis": f"{where} basal linear atelectasis",
            "cardiomegaly": "borderline cardiomegaly" if self.subtle else "cardiomegaly",
            "catheter": f"{where} central venous catheter",
            "consolidation": f"{where} consolidation",
            "edema": "mild pulmonary edema" if self.subtle else "pulmonary edema",
            "effusion": f"{self.size} {where} pleural effusion",
            "nodule": f"{self.millimeters} mm {where} nodule",
            "opacity": f"hazy {where} opacity",
            "pacemaker": f"{where} chest wall pacemaker",
            "pneumothorax": f"{self.size} {where} apical pneumothorax",
            "tube": "endotracheal tube",
        }[self.name]


def _side(rng: np.random.Generator) -> str:
    return str(rng.choice(SIDE_CHOICES))


def draw_findings(rng: np.random.Generator, *, portable: bool = False) -> list[Finding]:
    """Draw the findings of one film; about three in ten films are normal.

    Findings that would hide each other are not drawn together: nothing focal lies under a large effusion, and a
    pneumothorax never shares its side with one.

    Args:
        rng: random stream.
        portable: a film taken at the bedside, where devices, fluid and edema are commoner.
    """
    chance = rng.random(len(NAMES))
    subtle = rng.random(len(NAMES)) < 0.25
    faint = dict(zip(NAMES, subtle.tolist(), strict=True))
    rates = {
        "atelectasis": 0.16,
        "cardiomegaly": 0.18,
        "catheter": 0.30 if portable else 0.06,
        "consolidation": 0.14,
        "edema": 0.16 if portable else 0.06,
        "effusion": 0.28,
        "nodule": 0.15,
        "opacity": 0.16,
        "pacemaker": 0.09,
        "pneumothorax": 0.12,
        "tube": 0.22 if portable else 0.02,
    }
    healthy = rng.random() < 0.2
    drawn = {name for name, u in zip(NAMES, chance, strict=True) if u < rates[name] and not healthy}
    found: list[Finding] = []
    free = {side: list(ZONES) for side in SIDE_CHOICES}
    dry = list(SIDE_CHOICES)
    if "effusion" in drawn:
        both = rng.random() < 0.3
        size = (
            "small"
            if faint["effusion"]
            else str(rng.choice(SIZES[:2] if both else SIZES, p=None if both else [0.4, 0.35, 0.25]))
        )
        for side in SIDE_CHOICES if both else (_side(rng),):
            found.append(Finding("effusion", side=side, size=size, subtle=faint["effusion"]))
            free[side] = {"small": list(ZONES), "moderate": ["upper", "middle"], "large": ["upper"]}[size]
            if size != "small":
                dry.remove(side)
    if "pneumothorax" in drawn and dry:
        side, size = str(rng.choice(dry)), "small" if faint["pneumothorax"] else str(rng.choice(SIZES))
        found.append(Finding("pneumothorax", side=side, size=size, subtle=faint["pneumothorax"]))
        free[side] = [zone for zone in free[side] if zone != "upper"]
    if "atelectasis" in drawn and dry:
        side = str(rng.choice(dry))
        found.append(Finding("atelectasis", side=side, subtle=faint["atelectasis"]))
        free[side] = [zone for zone in free[side] if zone != "lower"]
    for name in ("consolidation", "opacity", "nodule"):
        places = [(side, zone) for side in SIDE_CHOICES for zone in free[side]]
        if name in drawn and places:
            side, zone = places[int(rng.integers(len(places)))]
            free[side].remove(zone)
            wide = 0
            if name == "nodule":
                wide = int(rng.integers(5, 9)) if faint["nodule"] else int(rng.integers(9, 30))
            found.append(Finding(name, side=side, zone=zone, millimeters=wide, subtle=faint[name]))
    for name in ("cardiomegaly", "edema"):
        if name in drawn:
            found.append(Finding(name, subtle=faint[name]))
    if "catheter" in drawn:
        found.append(Finding("catheter", side=str(rng.choice(SIDE_CHOICES, p=[0.25, 0.75]))))
    if "pacemaker" in drawn:
        found.append(Finding("pacemaker", side=str(rng.choice(SIDE_CHOICES, p=[0.85, 0.15]))))
    if "tube" in drawn:
        found.append(Finding("tube"))
    return found
