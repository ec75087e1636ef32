# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What one source of masks annotates, and what that tells of each class in each of its images."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from radbundles.components.data.schema import SPLITS

PRESENT, ABSENT, UNKNOWN = 1, 0, -1


@dataclass(frozen=True, kw_only=True)
class MaskSource:
    """A datalist, or a part of one, whose images were searched for the same classes.

    What is known of a class that the source annotates, in an image:

    - it has masks, or boxes (``boxes=True``): present, with masks and boxes for its pixels. Where a class has a mask,
      its boxes are left aside: most often they were drawn around that mask;
    - else the item's own label: 0 is absent; 1 says that it is somewhere, so no pixel is known and it counts as
      unknown, as does -1, and as do boxes that are not to be used (``boxes=False``);
    - else ``missing``.

    A class that the source does not annotate is unknown in all its images.

    Args:
        name: of the source, in the log and in the samples.
        datalist: JSON or JSON Lines datalist.
        classes: the classes that its readers searched all its images for, in the names of the run.
        dataset_dir: folder that image and mask paths are relative to, by default the datalist's.
        names: names in the datalist that differ from those of the run, ``{"Nodule/Mass": "Nodule"}``. Several names may
            become one class, whose masks and boxes are then united. They hold for labels too.
        weight: share of this source in the batches, relative to the weights of the others.
        missing: what a class is in an image where nothing is said of it: ``"absent"``, if the readers marked
            everything they saw, or ``"unknown"``.
        boxes: boxes become masks.
        only: take items only whose ``source`` is one of these, so that a datalist may serve several sources.
        sections: sections of the datalist that serve a section of the run, where they are not the one of that name:
            ``{"training": ["training", "validation"]}``; with ``{"training": []}`` the source has no part in training.
        negatives: permit a training section in which no class has a mask or a box: images of healthy people.

    Raises:
        ValueError: when an argument is out of range; names the source.
    """

    name: str
    datalist: str | os.PathLike[str]
    classes: Sequence[str]
    dataset_dir: str | os.PathLike[str] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    missing: str = "absent"
    boxes: bool = True
    only: Sequence[str] | None = None
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    negatives: bool = False

    def __post_init__(self) -> None:
        who = f"source {self.name!r}"
        if isinstance(self.classes, str) or not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"{who}: classes must be a list of different names, not {self.classes!r}")
        for mapped, name in self.names.items():
            if name not in self.classes:
                raise ValueError(
                    f"{who}: names turns {mapped!r} into {name!r}, which is not among its classes "
                    f"{list(self.classes)}. Add it to them, or correct the name"
                )
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"{who}: weight must be above 0, not {self.weight!r}; leave out the source to do without")
        if self.missing not in ("absent", "unknown"):
            raise ValueError(f"{who}: missing must be 'absent' or 'unknown', not {self.missing!r}")
        if isinstance(self.only, str) or (self.only is not None and not self.only):
            raise ValueError(f"{who}: only must be a list of values of the items' 'source', not {self.only!r}")
        for section, parts in self.sections.items():
            if section not in SPLITS or isinstance(parts, str) or not set(parts) <= set(SPLITS):
                raise ValueError(
                    f"{who}: sections gives lists of {', '.join(SPLITS)} for these, not {{{section!r}: {parts!r}}}"
                )

    @classmethod
    def of(cls, source: MaskSource | Mapping[str, Any]) -> MaskSource:
        """Make a source of an entry of a config.

        Raises:
            ValueError: the entry has an unknown key, or lacks one.
        """
        if isinstance(source, MaskSource):
            return source
        known = [entry.name for entry in fields(cls)]
        who = f"source {source.get('name')!r}"
        for key in source:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                raise ValueError(f"{who}: unknown key {key!r}; {f'is it {near[0]!r}?' if near else f'known: {known}'}")
        for key in ("name", "datalist", "classes"):
            if key not in source:
                raise ValueError(f"{who} has no {key!r}")
        return cls(**source)

    def parts(self, section: str) -> Sequence[str]:
        """Sections of the datalist that serve a section of the run."""
        return self.sections.get(section, [section])

    def class_of(self, name: str) -> str | None:
        """Class that a name in the datalist stands for, None if the source does not annotate it."""
        name = self.names.get(name, name)
        return name if name in self.classes else None

    def annotate(self, item: Mapping[str, Any]) -> tuple[dict[str, dict[str, list[Any]]], dict[str, int]]:
        """Tell what is known of an item.

        Returns:
            Targets ``{class: {"masks": [path], "boxes": [[x0, y0, x1, y1]]}}`` of the classes that have a place, and
            labels ``{class: 1, 0 or -1}`` of those that the source annotates.
        """
        masks: dict[str, list[Any]] = {}
        boxes: dict[str, list[Any]] = {}
        said: dict[str, list[int]] = {}
        for kind, key in ((masks, "masks"), (boxes, "boxes"), (said, "labels")):
            for name, value in item.get(key, {}).items():
                own = self.class_of(name)
                if own is not None and value != []:
                    kind.setdefault(own, []).extend(value if key == "boxes" else [value])
        targets: dict[str, dict[str, list[Any]]] = {}
        labels: dict[str, int] = {}
        for name in self.classes:
            if name in masks or (self.boxes and name in boxes):
                targets[name] = {"masks": masks.get(name, []), "boxes": [] if name in masks else boxes[name]}
                labels[name] = PRESENT
            elif name in boxes or any(value != ABSENT for value in said.get(name, ())):
                labels[name] = UNKNOWN
            elif name in said or self.missing == "absent":
                labels[name] = ABSENT
            else:
                labels[name] = UNKNOWN
        return targets, labels
