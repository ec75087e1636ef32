# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Speed of the text path of ECAMP pre-training on one core, in both modes.

    python -m radbundles.components.benchmarks.text_path REPORTS --tokenizer tokenizer.json

prints samples per second of processor time (other programs on the machine do not count, their use of its caches does)
of each stage and of the whole path as JSON. ``REPORTS`` is a datalist, or a JSON Lines file
whose rows have the sections of a report at their top level ("findings": "...", "impression": "...").
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose

from radbundles.components.data.collate import collate_reports
from radbundles.components.data.lines import is_jsonl, iter_lines, parse_json
from radbundles.components.data.tokenizer_training import ReportCorpus
from radbundles.transforms import (
    ECAMP_ENTITIES,
    REPORT_SECTIONS,
    ComposeReportd,
    InsertDistilledd,
    MaskReportd,
    TokenizeReportd,
    compose_report,
)

BATCH_SIZE = 64
DISTILLED = "There is no effusion. There is no pneumothorax. There may be atelectasis."
"""Stands in for the distilled text, of about its usual length."""


def read_reports(path: str | Path) -> Iterator[dict[str, str]]:
    """Yield the reports of a datalist or of a JSON Lines file of sections, those without text left out."""
    if not is_jsonl(path):
        for section in ("training", "validation", "test"):
            yield from ({"text": text} for text in ReportCorpus(path, section=section))
        return
    for _, _, raw in iter_lines(path):
        row = parse_json(raw)
        report = row.get("report", {name: row[name] for name in REPORT_SECTIONS if isinstance(row.get(name), str)})
        if compose_report(report):
            yield report


def measure(
    path: str | Path,
    *,
    tokenizer_file: str | Path,
    entities: Sequence[str] | str | Path = ECAMP_ENTITIES,
    repeats: int = 3,
) -> dict[str, Any]:
    """Return samples per second of processor time, the best of ``repeats`` passes over all reports.

    Args:
        path: datalist or JSON Lines file of sections.
        tokenizer_file: ``tokenizer.json``.
        entities: entity lexicon, by default ECAMP's words.
        repeats: passes; the first one fills the tokenizer's memory of chunks.

    Returns:
        ``reports``, ``tokens_per_report`` (of the whole path in paper mode), and for each mode the samples per second
        of each stage and of ``whole``, which is :class:`monai.transforms.Compose` of the stages and the collation.
    """
    reports = list(read_reports(path))
    if not reports:
        raise ValueError(f"{path} has no report with text in the sections {', '.join(REPORT_SECTIONS)}")
    items = [{"id": str(number), "report": report, "distilled": DISTILLED} for number, report in enumerate(reports)]
    collate = collate_reports()
    figures: dict[str, Any] = {"reports": len(items), "tokens_per_report": 0.0}
    for mode in ("paper", "official"):
        stages = {
            "compose": ComposeReportd(),
            "insert": InsertDistilledd(mode=mode),
            "tokenize": TokenizeReportd(tokenizer_file=tokenizer_file),
            "mask": MaskReportd(tokenizer_file=tokenizer_file, mode=mode, entities=entities),
        }
        whole = Compose(list(stages.values()))
        whole.set_random_state(0)
        speeds: dict[str, float] = {}
        samples: list[Any] = items
        for name, stage in stages.items():
            speeds[name], samples = _fastest(stage, samples, repeats)
        batches = [samples[start : start + BATCH_SIZE] for start in range(0, len(samples), BATCH_SIZE)]
        speeds["collate"] = _fastest(collate, batches, repeats)[0] * len(samples) / len(batches)
        if mode == "paper":
            tokens = sum(int(sample["attention_mask"].sum()) for sample in samples)
            figures["tokens_per_report"] = round(tokens / len(samples), 1)
        batches = [items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE)]
        path_of_batch = _Path(whole, collate)
        speeds["whole"] = _fastest(path_of_batch, batches, repeats)[0] * len(items) / len(batches)
        figures[mode] = {name: round(speed) for name, speed in speeds.items()}
    return figures


class _Path:
    def __init__(self, transform: Callable[[Any], Any], collate: Callable[[Any], Any]) -> None:
        self.transform = transform
        self.collate = collate

    def __call__(self, batch: list[Any]) -> Any:
        return self.collate([self.transform(item) for item in batch])


def _fastest(stage: Callable[[Any], Any], inputs: list[Any], repeats: int) -> tuple[float, list[Any]]:
    """Inputs per second of processor time in the fastest pass, and its outputs."""
    fastest = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        outputs = [stage(value) for value in inputs]
        fastest = min(fastest, time.process_time() - start)
    return len(inputs) / fastest, outputs


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Speed of the text path of ECAMP pre-training on one core.")
    parser.add_argument("reports", help="datalist, or JSON Lines of report sections")
    parser.add_argument("--tokenizer", required=True, help="tokenizer.json")
    parser.add_argument("--entities", default=ECAMP_ENTITIES, help="entity lexicon (JSON); by default ECAMP's 44 words")
    parser.add_argument("--repeats", type=int, default=3, help="passes over the reports, the fastest counts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(
        arguments.reports,
        tokenizer_file=arguments.tokenizer,
        entities=arguments.entities,
        repeats=arguments.repeats,
    )
    print(json.dumps(figures, indent=4))


if __name__ == "__main__":
    main()
