# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Distill every report of a datalist into a file that training joins by id."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from radbundles.components.data.datalist import read_document
from radbundles.components.data.lines import existing, is_jsonl, iter_lines
from radbundles.components.data.records import (
    RowError,
    atomic,
    checked_rows,
    destinations,
    report_sha256,
    write_records,
)
from radbundles.components.data.schema import SPLITS
from radbundles.components.data.section import Item
from radbundles.components.distillation.census import Census
from radbundles.components.distillation.interface import Distiller
from radbundles.components.distillation.language_model import LanguageModelDistiller
from radbundles.components.distillation.schema import is_valid_output

__all__ = ["count_items", "distill_datalist", "report_sha256"]


def distill_datalist(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    distiller: Distiller,
    *,
    progress: Callable[[], object] | None = None,
    cache: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    shard_size: int = 1000,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """Distill all reports of a datalist, one record a line in the order of the datalist.

    The file appears under its name only when it is complete. A row that cannot be distilled is written to
    ``<out>.failures.jsonl`` (row, id, reason; never report text) and the others go on. An item without a report gets a
    record with empty text, so that joining by id finds every item. Memory does not grow with the text.

    Of a language model every answer, a failure too, is kept in a cache as soon as it is there and is not asked for
    again, so that a job that was cut off goes on where it was. Rows that are done wait in ``<out>.parts`` for the end.
    The output depends on the datalist and the answers alone: not on how many are asked for at a time, in which order
    they come, or how often the job was cut off.

    Args:
        datalist: JSON or JSON Lines datalist.
        out: file to write, JSON Lines.
        distiller: the backend.
        progress: called after each row.
        cache: file of a language model's answers, by default ``<out>.answers.sqlite``. It stays.
        retry_failed: ask again what this model, with this prompt, has failed to answer.
        shard_size: rows of a language model's job that are written at a time.
        only: ids of the items to take, by default all.

    Returns:
        Summary: counts of reports, sentences, certainties and entities, failures and their reasons, rate. Of a language
        model also what was rejected in its replies, and of this run alone: reports ``asked`` and ``from_cache``,
        ``requests`` and ``tokens``, ``resumed_shards``.

    Raises:
        FileNotFoundError: if there is no such datalist.
        OSError: if the cache is in use.
        ValueError: if the output would overwrite the datalist, the datalist as a whole cannot be read, or the file
            named as cache is something else.
        ChatUnavailableError: if the language model can answer nothing. What it answered before is kept.
    """
    if shard_size < 1:
        raise ValueError(f"shard_size must be at least 1, not {shard_size}")
    began = time.perf_counter()
    if isinstance(distiller, LanguageModelDistiller):
        extra, census = _ask(datalist, out, distiller, progress, cache, retry_failed, shard_size, only)
    elif cache is not None or retry_failed:
        raise ValueError(f"the backend {distiller.name} has no cache of answers and nothing to retry")
    else:
        extra, census = {}, _make(datalist, out, distiller, progress, only)
    counts = census.summary()
    seconds = time.perf_counter() - began
    failures = Path(out).with_name(f"{Path(out).name}.failures.jsonl")
    return {
        "out": str(Path(out)),
        "failures_out": str(failures) if counts["failures"] else None,
        "backend": distiller.name,
        "version": distiller.version,
        **counts,
        **extra,
        "seconds": round(seconds, 3),
        "reports_per_second": round(counts["reports"] / seconds, 1) if seconds else 0.0,
    }


def count_items(datalist: str | os.PathLike[str]) -> int:
    """Number of rows that a job over a datalist passes, without parsing JSON Lines.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if a JSON datalist as a whole cannot be read.
    """
    path = existing(datalist)
    if is_jsonl(path):
        return sum(1 for _ in iter_lines(path))
    document = read_document(path)
    return sum(len(document.get(split, [])) for split in SPLITS)


def _make(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    distiller: Distiller,
    progress: Callable[[], object] | None,
    only: Collection[str] | None,
) -> Census:
    """Distill row by row."""
    census = Census()

    def make(item: Item) -> dict[str, Any]:
        output = _distill(item.get("report", {}), distiller)
        census.add_output(output, has_report=bool(item.get("report")))
        return {**output, "backend": distiller.name, "version": distiller.version}

    written = write_records(datalist, out, make, progress=progress, only=only)
    for reason, rows in written.reasons.items():
        census.add_failure(reason, rows)
    return census


def _distill(report: dict[str, str], distiller: Distiller) -> dict[str, Any]:
    try:
        output = distiller.distill(report)
    except Exception as error:  # a backend's message may quote the report: only the kind of error is kept
        raise RowError(f"the backend {distiller.name} failed with {type(error).__name__}") from None
    if not is_valid_output(output, report):
        raise RowError(f"the backend {distiller.name} gave a record that breaks distilled.schema.json")
    return output


def _ask(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    distiller: LanguageModelDistiller,
    progress: Callable[[], object] | None,
    cache: str | os.PathLike[str] | None,
    retry_failed: bool,
    shard_size: int,
    only: Collection[str] | None,
) -> tuple[dict[str, Any], Census]:
    """Distill many rows at a time; return what the summary says of this run, and the counts."""
    from radbundles.components.distillation.answer_cache import AnswerCache
    from radbundles.components.distillation.ask_rows import RowAsker
    from radbundles.components.distillation.shards import Shards

    source, out, failures_path = destinations(datalist, out)
    shards = Shards(out.with_name(f"{out.name}.parts"))
    cache = out.with_name(f"{out.name}.answers.sqlite") if cache is None else Path(cache)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with AnswerCache(cache, distiller.identity) as kept:
        if retry_failed:
            kept.forget_failures()
        asker = RowAsker(distiller, kept, shards, progress)
        names = asker.ask(checked_rows(source, only), shard_size)
        with atomic(out) as records, atomic(failures_path) as failures:
            census = shards.join(names, records, failures)
        if failures_path.stat().st_size == 0:
            failures_path.unlink()
        shards.remove()
    tally = asker.tally
    extra = {
        "cache": str(cache),
        "asked": asker.asked,
        "from_cache": asker.from_cache,
        "requests": tally.requests,
        "tokens": {"prompt": tally.prompt_tokens, "completion": tally.completion_tokens},
        "resumed_shards": asker.resumed_shards,
    }
    return extra, census
