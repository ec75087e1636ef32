# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels of an image -> codes of the classes of a label table."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import ensure_tuple

from radbundles.transforms.label_table import LabelTable, label_table


class EncodeLabelsd(MapTransform):
    """Turn the labels of an image into one code a class: +1 present, -1 absent, 0 uncertain or unknown.

    Source: DCXFM (official label preparation), see :class:`~radbundles.transforms.LabelTable`. The official code takes
    a class without a label for absent; here it is unknown unless ``missing="absent"``.

    Args:
        table: a label table, its name, or the path of its file.
        keys: items that hold labels, name -> 1, 0 or -1; an item without them has codes 0 (or -1 with ``"absent"``).
        output_keys: where the codes go, float32 ``[K]``, one for each of ``keys``.
        missing: what a class without a label is, ``"unknown"`` or ``"absent"``.
        uncertain: what -1 says, ``"policy"`` (uncertain, as the table has it) or ``"unknown"``.

    Raises:
        ValueError: if an argument is out of range, or a label of an item; names the item's ``id``.
    """

    def __init__(
        self,
        table: LabelTable | str | os.PathLike[str],
        *,
        keys: KeysCollection = "labels",
        output_keys: KeysCollection = "image_labels",
        missing: str = "unknown",
        uncertain: str = "policy",
    ) -> None:
        super().__init__(keys)
        self.table = table if isinstance(table, LabelTable) else label_table(table)
        self.output_keys = ensure_tuple(output_keys)
        self.missing = missing
        self.uncertain = uncertain
        self.table.codes({}, missing=missing, uncertain=uncertain)  # refuses what they may not be

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the codes of the labels."""
        d = dict(data)
        for key, output_key in zip(self.keys, self.output_keys, strict=True):
            try:
                labels = d.get(key) or {}
                codes = self.table.codes(labels, missing=self.missing, uncertain=self.uncertain)
            except ValueError as error:
                raise ValueError(f"item {d.get('id')!r}: {error}") from None
            d[output_key] = torch.from_numpy(codes).float()
        return d
