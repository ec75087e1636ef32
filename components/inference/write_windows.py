# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Context windows of a datalist in a small file of their own, which training joins to it by id."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

from radbundles.components.data.records import (
    Row,
    atomic,
    checked_rows,
    destinations,
    failure_line,
    record_line,
    report_sha256,
)
from radbundles.components.data.schema import item_faults
from radbundles.components.inference.place_windows import Transform, place_windows
from radbundles.networks import ECAMP

PLACES = 3  # down and across: a window of 12 cells on a grid of 14


def write_windows(
    network: ECAMP,
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    transform: Transform,
    base_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 16,
    threads: int = 4,
    source: str | None = None,
    progress: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Write the context window of every item of a datalist, one record a line in its order.

    A record is ``{"id", "report_sha256", "window": [row, column], "network"}``. The file appears under its name only
    when it is complete. An item whose image or report cannot be read gets a record with the window null, which stands
    for the middle, so that joining by id finds every item; it is written to ``<out>.failures.jsonl`` (row, id, reason;
    never report text). So is a row that is no item with an id of its own, of which there is no record. Memory does not
    grow with the images or the text.

    Args:
        network: a trained network; runs in eval mode on its own device and is left as it was.
        datalist: JSON or JSON Lines datalist.
        out: file to write, JSON Lines.
        transform: item with joined paths -> sample with ``image``, ``labels``, ``attention_mask`` and ``entity``, see
            :func:`~radbundles.components.inference.report_attention_transform`.
        base_dir: folder that image paths are relative to, by default the datalist's.
        batch_size: images at a time.
        threads: threads that load images.
        source: what tells this network from others, such as a digest of its weights.
        progress: called after each row.

    Returns:
        Summary: items with a window by attention and in the middle for want of an entity, failures, how often each of
        the nine places was chosen by attention (3 x 3, as they lie in the image), rate.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the output would overwrite the datalist, or the datalist as a whole cannot be read.
    """
    path, out, failures_path = destinations(datalist, out)
    base = str(path.parent if base_dir is None else base_dir)
    counts: Counter[str] = Counter()
    places = [[0] * PLACES for _ in range(PLACES)]
    began = time.perf_counter()
    rows = ((row, row.item, row.fault or _first_fault(row)) for row in checked_rows(path))
    with (
        closing(
            place_windows(network, rows, transform=transform, base_dir=base, batch_size=batch_size, threads=threads)
        ) as placing,
        atomic(out) as records,
        atomic(failures_path) as failures,
    ):
        for row, item, placed in placing:
            if placed.fault is not None:
                counts["failures"] += 1
                failures.write(failure_line(row, placed.fault))
            elif placed.window is not None and placed.by_entity:
                counts["annotated"] += 1
                places[placed.window[0]][placed.window[1]] += 1
            else:
                counts["without_entity"] += 1
            if row.fault is None:
                record = {"window": placed.window, "network": source}
                records.write(record_line(item["id"], report_sha256(item.get("report", {})), record))
            if progress is not None:
                progress()
    if not counts["failures"]:
        failures_path.unlink()
    seconds = time.perf_counter() - began
    return {
        "out": str(out),
        "failures_out": str(failures_path) if counts["failures"] else None,
        "network": source,
        "items": counts.total(),
        "annotated": counts["annotated"],
        "without_entity": counts["without_entity"],
        "failures": counts["failures"],
        "places": places,
        "seconds": round(seconds, 3),
        "items_per_second": round(counts.total() / seconds, 1) if seconds else 0.0,
    }


def _first_fault(row: Row) -> str | None:
    """What the contract has against an item."""
    faults = item_faults(row.item, row.number)
    return f"{faults[0].field or 'item'}: {faults[0].message}" if faults else None
