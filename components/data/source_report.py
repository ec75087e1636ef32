# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a source of masks gives to a section, and whether anything can be learned from it."""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from radbundles.components.data.mask_source import ABSENT, PRESENT, UNKNOWN, MaskSource

logger = logging.getLogger(__name__)
TRAINING = "training"


@dataclass
class SourceReport:
    """What a source gives to a section, in numbers of images.

    Args:
        images: that it gives.
        present: where a class has masks or boxes, by class.
        absent: where a class is known to be absent, by class.
        unknown: where a class is unknown though the source annotates it, by class.
        left_out: that have masks or boxes under a name that is no class of the source, by name.
        nothing_known: that were left out since nothing is known of any class.
        names: that masks, boxes and labels of its items have in the datalist.
    """

    images: int = 0
    present: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    nothing_known: int = 0
    names: set[str] = field(default_factory=set)

    def add(self, source: MaskSource, item: Mapping[str, Any], labels: Mapping[str, int]) -> bool:
        """Count an item and tell whether anything is known of it."""
        placed = item.get("masks", {}).keys() | {name for name, boxes in item.get("boxes", {}).items() if boxes}
        self.left_out.update(name for name in placed if source.class_of(name) is None)
        self.names.update(placed, item.get("labels", {}))
        if all(label == UNKNOWN for label in labels.values()):
            self.nothing_known += 1
            return False
        self.images += 1
        for counter, value in ((self.present, PRESENT), (self.absent, ABSENT), (self.unknown, UNKNOWN)):
            counter.update(name for name, label in labels.items() if label == value)
        return True

    def judge(self, source: MaskSource, section: str) -> None:
        """Log what a source gives.

        Raises:
            ValueError: it gives no image, or in training no place of any class.
        """
        who = f"source {source.name!r}, section {section!r}"
        named = ", ".join(f"{name!r} ({count} images)" for name, count in self.left_out.most_common())
        have = f"its items have masks or boxes of {named or 'nothing else'}"
        alike = max(product(self.left_out or ["its name"], source.classes), key=_likeness)
        mend = f"Map the datalist's names by names, such as {{{alike[0]!r}: {alike[1]!r}}}"
        if self.images == 0:
            raise ValueError(
                f"{who}: nothing is known of {list(source.classes)} in any of its {self.nothing_known} items; {have}. "
                f"{mend}, or {leave_out(section)}"
            )
        if section == TRAINING and not self.present and not source.negatives:
            raise ValueError(
                f"{who}: none of its {self.images} images has a mask or a box{'' if source.boxes else ' that counts'} "
                f"of {list(source.classes)}; {have}. {mend}; or, if these are images without findings, give "
                "negatives=true"
            )
        table = ", ".join(
            f"{name} {self.present[name]}/{self.absent[name]}/{self.unknown[name]}" for name in source.classes
        )
        logger.info("%s: %d images; present/absent/unknown: %s", who, self.images, table)
        if self.nothing_known:
            logger.info("%s: left out %d images of which nothing is known", who, self.nothing_known)
        if self.left_out:
            logger.warning("%s: left out masks or boxes of %s, which are none of its classes", who, named)
        if section == TRAINING and not source.negatives:
            bare = [name for name in source.classes if not self.present[name] and self.absent[name]]
            if bare:
                logger.warning("%s: no mask or box of %s, so its images only teach where these are not", who, bare)
            unmet = sorted(source.names.keys() - self.names)
            if unmet:
                logger.warning("%s: names maps %s, which no item has", who, unmet)


def leave_out(section: str) -> str:
    """How to declare that a source has no part in a section."""
    return f"leave the source out of this section by sections={{{section!r}: []}}"


def _likeness(pair: tuple[str, str]) -> float:
    return difflib.SequenceMatcher(None, pair[0].casefold(), pair[1].casefold()).ratio()
