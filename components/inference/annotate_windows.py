# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Context windows for a whole datalist, by a network that was trained before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose, NormalizeIntensityd, RepeatChanneld

from radbundles.components.data.collate import collate_reports
from radbundles.components.data.datalist import iter_datalist, read_document, write_datalist
from radbundles.components.data.fault import hide_patient
from radbundles.components.data.lines import is_jsonl
from radbundles.components.data.section import join_paths
from radbundles.components.inference.attention_windows import context_windows
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

Row = tuple[int, str, dict[str, Any]]


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
) -> Compose:
    """Turn an item into the whole image and the un-masked report, as ``ECAMP.cross_attention`` wants them.

    Args:
        tokenizer_file: the ``tokenizer.json`` that the network was trained with.
        image_size: side of the network's image in pixels.
        max_length: longest report of the network in tokens.
        entities: words or lexicon, see :func:`radbundles.transforms.entity_forms`.
        mean: of the images the network was trained on.
        std: likewise.
    """
    return Compose(
        [
            LoadRadiographd("image"),
            ResizeRadiographd("image", size=image_size, window_key=None),
            NormalizeIntensityd("image", subtrahend=torch.tensor(mean), divisor=torch.tensor(std)),
            RepeatChanneld("image", repeats=3),
            ComposeReportd(),
            TokenizeReportd(tokenizer_file=tokenizer_file, max_length=max_length),
            # For the places of the entities; nothing is shown to the network masked.
            MaskReportd(tokenizer_file=tokenizer_file, entities=entities),
        ]
    )


def annotate_windows(
    network: ECAMP,
    datalist: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    transform: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    base_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 16,
    threads: int = 4,
) -> WindowSummary:
    """Write a datalist again with the context window of every item (``window``, see :func:`context_windows`).

    The datalist is streamed: of its items one batch is held at a time. Paths are written as they are, so keep the
    output beside the input or name the folder when you load it. An item that cannot be read is recorded and written
    without a window, which stands for the middle.

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
    training = network.training
    network.eval()
    try:
        with ThreadPoolExecutor(threads) as pool:

            def rows() -> Iterator[tuple[str, dict[str, Any]]]:
                stream = iter_datalist(datalist)
                while batch := list(islice(stream, batch_size)):
                    samples = pool.map(lambda row: _try(transform, row, base), batch)
                    yield from _annotate(network, batch, list(samples), summary)

            write_datalist(output, rows(), name=header.get("name"), label_names=header.get("label_names"))
    finally:
        network.train(training)
    return summary


def _try(transform: Callable[[Mapping[str, Any]], Mapping[str, Any]], row: Row, base: str) -> Mapping[str, Any] | str:
    """Sample of an item, or the reason why there is none."""
    _, _, item = row
    try:
        return transform(join_paths(item, base))
    except Exception as error:  # one bad file must not end a job of a million
        cause: BaseException = error
        while cause.__cause__ is not None:  # MONAI wraps what a transform raises
            cause = cause.__cause__
        return hide_patient(f"{type(cause).__name__}: {cause}", item)


@torch.inference_mode()
def _annotate(
    network: ECAMP, batch: list[Row], samples: list[Mapping[str, Any] | str], summary: WindowSummary
) -> list[tuple[str, dict[str, Any]]]:
    windows: dict[int, list[int]] = {}
    good = {place: sample for place, sample in enumerate(samples) if not isinstance(sample, str)}
    if good:
        device = next(network.parameters()).device
        inputs = collate_reports()(list(good.values()))
        tensors = {key: inputs[key].to(device) for key in ("image", "labels", "attention_mask", "entity")}
        attention = network.cross_attention(tensors["image"], tensors["labels"], tensors["attention_mask"])
        windows = dict(zip(good, context_windows(attention, tensors["entity"]).tolist(), strict=True))
        found = int(tensors["entity"].any(dim=1).sum())
        summary.annotated += found
        summary.without_entity += len(good) - found
    annotated = []
    for place, (row, split, item) in enumerate(batch):
        sample = samples[place]
        if isinstance(sample, str):
            summary.faults.append({"row": row, "id": item.get("id"), "reason": sample})
            item = {key: value for key, value in item.items() if key != "window"}
        else:
            item = item | {"window": windows[place]}
        annotated.append((split, item))
    return annotated
