# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The context window of each item of a stream, by a network that was trained before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import torch

from radbundles.components.data.collate import collate_reports
from radbundles.components.data.fault import hide_patient
from radbundles.components.data.section import Item, join_paths
from radbundles.components.inference.attention_windows import context_windows
from radbundles.networks import ECAMP

Tag = TypeVar("Tag")
Transform = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Row = tuple[Tag, Item, "str | None"]

GRID_CELLS = 14  # that windows are counted in, whatever the grid of the network


class Placed(NamedTuple):
    """Where the window of an item lies.

    Args:
        window: row and column of its top-left cell, None where the item could not be read.
        by_entity: whether attention has placed it; else it is the middle one, since the report names no entity.
        fault: why the item could not be read, None if it could.
    """

    window: list[int] | None
    by_entity: bool
    fault: str | None


def place_windows(
    network: ECAMP,
    rows: Iterable[Row[Tag]],
    *,
    transform: Transform,
    base_dir: str,
    batch_size: int = 16,
    threads: int = 4,
) -> Generator[tuple[Tag, Item, Placed], None, None]:
    """Place the context window of item after item, see :func:`context_windows`; none is left out.

    While the network works on a batch the next one is loaded; no more than these two are held.

    Args:
        network: a trained network; runs in eval mode on its own device and is left as it was.
        rows: whatever tells rows apart, the item, and what is already known to be wrong with it, or None.
        transform: item with joined paths -> sample with ``image``, ``labels``, ``attention_mask`` and ``entity``.
        base_dir: folder that image paths are relative to.
        batch_size: images at a time.
        threads: threads that load images.

    Yields:
        The rows in their order, each with its window.
    """
    if batch_size < 1 or threads < 1:
        raise ValueError(f"batch_size and threads must be 1 or more, got {batch_size} and {threads}")
    training = network.training
    network.eval()
    try:
        with ThreadPoolExecutor(threads) as pool:
            stream = iter(rows)
            loading: list[tuple[Row[Tag], Future[Mapping[str, Any] | str]]] = []
            while True:
                loaded = loading
                loading = [
                    (row, pool.submit(_sample, transform, row[1], row[2], base_dir))
                    for row in islice(stream, batch_size)
                ]
                if loaded:
                    placed = _place(network, [future.result() for _, future in loaded])
                    yield from ((row[0], row[1], one) for (row, _), one in zip(loaded, placed, strict=True))
                elif not loading:
                    return
    finally:
        network.train(training)


def _sample(transform: Transform, item: Item, fault: str | None, base: str) -> Mapping[str, Any] | str:
    """Sample of an item, or the reason why there is none."""
    if fault is not None:
        return fault
    try:
        return transform(join_paths(item, base))
    except Exception as error:  # one bad file must not end a job of a million
        cause: BaseException = error
        while cause.__cause__ is not None:  # MONAI wraps what a transform raises
            cause = cause.__cause__
        return hide_patient(f"{type(cause).__name__}: {cause}", item)


@torch.inference_mode()
def _place(network: ECAMP, samples: Sequence[Mapping[str, Any] | str]) -> list[Placed]:
    good = [sample for sample in samples if not isinstance(sample, str)]
    found: Iterator[tuple[list[int], bool]] = iter(())
    if good:
        device = next(network.parameters()).device
        inputs = collate_reports()(good)
        tensors = {key: inputs[key].to(device) for key in ("image", "labels", "attention_mask", "entity")}
        attention = network.cross_attention(tensors["image"], tensors["labels"], tensors["attention_mask"])
        windows = context_windows(attention, tensors["entity"], grid=GRID_CELLS)
        found = zip(windows.tolist(), tensors["entity"].any(dim=1).tolist(), strict=True)
    return [
        Placed(None, False, sample) if isinstance(sample, str) else Placed(*next(found), None) for sample in samples
    ]
