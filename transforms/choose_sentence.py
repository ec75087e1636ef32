# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One sentence of a report: the one whose labels agree best with those of the image."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from numpy.typing import NDArray

from radbundles.transforms.label_table import LabelTable, label_table

_COMPARISON = "compare"


class ChooseSentenced(Randomizable, Transform):
    """Choose the sentence of an item that an image is paired with.

    Source: DCXFM (official stage-1 data set, mode "label"). Sentences with "compare" in them are left out unless none
    would remain. Each of the others scores the dot product of the image's codes with its own, in which a class that
    the sentence does not mention is absent; one of those with the highest score is drawn. The official code draws two
    and uses the first (quirk Q7).

    Args:
        table: a label table, its name, or the path of its file; the one that the sentences were labeled with.
        random: whether to draw; otherwise the first in the report is taken, as validation wants.
        drop_comparisons: whether to leave out sentences that compare with an earlier image.
        key: the sentences, ``[{"text": str, "labels": {name: 1 | 0 | -1}}, ...]`` as ``radbundles sentences`` writes
            them.
        label_key: codes of the image, ``[K]``, from :class:`~radbundles.transforms.EncodeLabelsd`.
        output_key: where the sentence goes, a str.
        output_label_key: where its codes go, float32 ``[K]``.
        second_key: where a second sentence goes, drawn likewise and maybe the same; None draws one only. The official
            code encodes it, uses it for nothing, and yet reads its word count (quirk Q5).

    Raises:
        KeyError: if an item has no sentences or no codes; names its ``id``.
        ValueError: if it has no sentence, or codes of another table; names its ``id``.
    """

    def __init__(
        self,
        table: LabelTable | str | os.PathLike[str],
        *,
        random: bool = True,
        drop_comparisons: bool = True,
        key: str = "sentences",
        label_key: str = "image_labels",
        output_key: str = "sentence",
        output_label_key: str = "text_labels",
        second_key: str | None = None,
    ) -> None:
        self.table = table if isinstance(table, LabelTable) else label_table(table)
        self.random = random
        self.drop_comparisons = drop_comparisons
        self.key = key
        self.label_key = label_key
        self.output_key = output_key
        self.output_label_key = output_label_key
        self.second_key = second_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the sentence and its codes."""
        d = dict(data)
        if self.key not in d or self.label_key not in d:
            lacking = self.key if self.key not in d else self.label_key
            mend = "join the file of `radbundles sentences`" if lacking == self.key else "put EncodeLabelsd before"
            raise KeyError(f"item {d.get('id')!r} has no {lacking!r}: {mend}")
        sentences = d[self.key]
        if self.drop_comparisons:
            sentences = [entry for entry in sentences if _COMPARISON not in entry["text"]] or sentences
        if not sentences:
            raise ValueError(f"item {d.get('id')!r} has no sentence: leave it out of the datalist")
        codes = np.stack([self.table.codes(s["labels"], image=False, missing="absent") for s in sentences])
        wanted = np.asarray(d[self.label_key], dtype=np.float32)
        if wanted.shape != codes.shape[1:]:
            raise ValueError(
                f"item {d.get('id')!r}: {self.label_key} has codes of {len(wanted)} classes, but the label table "
                f"{self.table.name!r} has {len(self.table)}; give EncodeLabelsd and ChooseSentenced the same table"
            )
        scores = codes @ wanted
        best = np.flatnonzero(scores == scores.max())
        place = self._draw(best)
        d[self.output_key] = sentences[place]["text"]
        d[self.output_label_key] = torch.from_numpy(codes[place]).float()
        if self.second_key is not None:
            d[self.second_key] = sentences[self._draw(best)]["text"]
        return d

    def _draw(self, places: NDArray[np.intp]) -> int:
        return int(places[self.R.randint(len(places)) if self.random else 0])
