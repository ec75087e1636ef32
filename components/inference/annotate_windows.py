# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Context windows for a whole datalist, by a network that was trained before."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose, NormalizeIntensityd, RepeatChanneld

from radbundles.components.data.datalist import iter_datalist, read_document, write_datalist
from radbundles.components.data.distilled import DistilledText
from radbundles.components.data.lines import is_jsonl
from radbundles.components.inference.place_windows import Transform, place_windows
from radbundles.components.metrics.regions import MEAN, STD
from radbundles.networks import ECAMP
from radbundles.transforms import (
    ECAMP_ENTITIES,
    ComposeReportd,
    LoadRadiographd,
    MaskReportd,
    ResizeRadiographd,
    TokenizeReportd,
)
from radbundles.transforms.compose_report import end_sentence


@dataclass
class WindowSummary:
    """What became of the items of a datalist.

    Attributes:
        annotated: items that got a window from attention.
        without_entity: items whose report names no entity: they got the window in the middle.
        faults: items that could not be read and stay without a window: row, id and reason.
    """

    annotated: int = 0
    without_entity: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)


def report_attention_transform(
    *,
    tokenizer_file: str | os.PathLike[str],
    image_size: int = 448,
    max_length: int = 256,
    entities: Sequence[str] | str | os.PathLike[str] = ECAMP_ENTITIES,
    mean: float = MEAN,
    std: float = STD,
    distilled: str | os.PathLike[str] | None = None,
) -> Compose:
    """Turn an item into the whole image and the un-masked report, as ``ECAMP.cross_attention`` wants them.

    Args:
        tokenizer_file: the ``tokenizer.json`` that the network was trained with.
        image_size: side of the network's image in pixels.
        max_length: longest report of the network in tokens.
        entities: words or lexicon, see :func:`radbundles.transforms.entity_forms`.
        mean: of the images the network was trained on.
        std: likewise.
        distilled: file of ``radbundles distill`` for a network that was trained with such sentences: they stand before
            the report, where a long one does not push them out, and their entities count too.
    """
    return Compose(
        [
            LoadRadiographd("image"),
            ResizeRadiographd("image", size=image_size, window_key=None),
            NormalizeIntensityd("image", subtrahend=torch.tensor(mean), divisor=torch.tensor(std)),
            RepeatChanneld("image", repeats=3),
            ComposeReportd(),
            *([] if distilled is None else [_PutBefore(DistilledText(distilled))]),
            TokenizeReportd(tokenizer_file=tokenizer_file, max_length=max_length),
            # For the places of the entities; nothing is shown to the network masked.
            MaskReportd(tokenizer_file=tokenizer_file, entities=entities),
        ]
    )


class _PutBefore:
    """Put the distilled sentences of an item before its text."""

    def __init__(self, distilled: DistilledText) -> None:
        self.distilled = distilled

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        sentences = " ".join(self.distilled[data["id"]].split())
        return {**data, "text": f"{end_sentence(sentences)} {data['text']}".strip()}


def annotate_windows(
    network: ECAMP,
    datalist: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    transform: Transform,
    base_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 16,
    threads: int = 4,
) -> WindowSummary:
    """Write a datalist again with the context window of every item (``window``, see :func:`context_windows`).

    For a small file that leaves the datalist as it is and is joined to it, see
    :func:`~radbundles.components.inference.write_windows`. The datalist is streamed: of its items two batches are held
    at a time. Paths are written as they are, so keep the output beside the input or name the folder when you load it.
    An item that cannot be read is recorded and written without a window, which stands for the middle.

    Args:
        network: a trained network; runs in eval mode on its own device and is left as it was.
        datalist: JSON or JSON Lines.
        output: of the same kind as the input; appears whole or not at all.
        transform: item with joined paths -> sample with ``image``, ``labels``, ``attention_mask`` and ``entity``, see
            :func:`report_attention_transform`.
        base_dir: folder that image paths are relative to, by default the datalist's.
        batch_size: images at a time.
        threads: threads that load images.

    Returns:
        Counts, and the faults one by one.

    Raises:
        ValueError: if output is of another kind than datalist, or a row of the datalist is not JSON.
    """
    datalist, output = Path(datalist), Path(output)
    if is_jsonl(datalist) != is_jsonl(output):
        raise ValueError(f"{output.name} must be of the same kind (.json or .jsonl) as {datalist.name}")
    base = str(datalist.parent if base_dir is None else base_dir)
    header = {} if is_jsonl(datalist) else read_document(datalist)
    summary = WindowSummary()
    stream = (((row, split), item, None) for row, split, item in iter_datalist(datalist))
    with closing(
        place_windows(network, stream, transform=transform, base_dir=base, batch_size=batch_size, threads=threads)
    ) as placing:

        def rows() -> Iterator[tuple[str, dict[str, Any]]]:
            for (row, split), item, placed in placing:
                bare = {key: value for key, value in item.items() if key != "window"}
                if placed.fault is not None:
                    summary.faults.append({"row": row, "id": item.get("id"), "reason": placed.fault})
                    yield split, bare
                else:
                    summary.annotated += placed.by_entity
                    summary.without_entity += not placed.by_entity
                    yield split, {**bare, "window": placed.window}

        write_datalist(output, rows(), name=header.get("name"), label_names=header.get("label_names"))
    return summary
