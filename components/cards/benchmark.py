# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of the project's benchmark for the cards of the bundles that it ran.

python -m radbundles.components.cards.benchmark docs/results/downstream bundles
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

STUDIES = {
    "ecamp_classification": ("tuberculosis", "tuberculosis-to-montgomery", "tuberculosis-to-shenzhen", "retinopathy"),
    "ecamp_segmentation": ("lungs", "disc"),
    "ecamp_detection": ("lung-boxes",),
}
"""Bundle -> studies of :mod:`radbundles.components.benchmarks.downstream` that it was run in."""
ABOUT = (
    "What `tiny.json` reached on open data in the project's benchmark, on an encoder that `ecamp_pretrain` had\n"
    "pre-trained with its own `tiny.json`, and from random weights: the mean over three seeds (one for optic disc and\n"
    "boxes) on the patients of the test section, in brackets its 95 % interval when these are drawn anew, and the\n"
    "lowest and highest seed. `Labels used` is the share of the training patients."
)


def write_benchmarks(results: Path, bundles: Path) -> list[Path]:
    """Write ``docs/benchmark.json`` of each bundle of :data:`STUDIES`.

    Args:
        results: folder ``results`` of a benchmark's output.
        bundles: folder of the bundles.

    Returns:
        the files.
    """
    from radbundles.components.benchmarks.downstream_table import NAMES, summarize

    figures = summarize(results)
    written = []
    for bundle, studies in STUDIES.items():
        content: dict[str, Any] = {"about": ABOUT, "studies": {NAMES[study][0]: figures[study] for study in studies}}
        written.append(bundles / bundle / "docs" / "benchmark.json")
        written[-1].write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    return written


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Figures of the downstream benchmark for the cards of bundles.")
    parser.add_argument("results", type=Path, help="folder results of a benchmark's output")
    parser.add_argument("bundles", type=Path, help="folder of the bundles")
    arguments = parser.parse_args()
    for path in write_benchmarks(arguments.results, arguments.bundles):
        print(path)


if __name__ == "__main__":
    main()
