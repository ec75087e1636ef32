# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of distillation by a language model, everything but the model.

    python -m radbundles.components.benchmarks.distill_job --reports 100000

writes synthetic reports, all different, and distills them with a model in the same process that replies at once. Prints
JSON: reports per second and memory at a tenth, a half and the end, of a run that asks for all and of one that finds all
answers in the cache.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from radbundles.components.distillation import LanguageModelDistiller, Prompt, distill_datalist
from radbundles.components.distillation.chat import Message, Reply

_MIB = 1 << 20
_SIZES = ("", "small ", "moderate ", "large ", "mild ")
_SIDES = ("", "left ", "right ", "bilateral ")
_SENTENCES = {
    "present": ("There is {size}{side}{entity} measuring {number} mm.", "{size}{side}{entity} in image {number}."),
    "uncertain": ("Possible {size}{side}{entity}, see series {number}.",),
    "absent": ("No {size}{side}{entity} on view {number}.", "No evidence of {side}{entity} at level {number}."),
}
_CUES = {"No": "absent", "Possible": "uncertain"}


def write_reports(path: Path, reports: int, entities: Sequence[str], *, seed: int = 0) -> None:
    """Write a datalist of synthetic reports, each of three to nine sentences on entities and some filling."""
    generator = random.Random(seed)
    filling = "The lungs were imaged in two planes and compared as far as the quality of the study allows. "
    with open(path, "w", encoding="utf-8") as file:
        for number in range(reports):
            sentences = []
            for entity in generator.sample(entities, generator.randint(3, 9)):
                template = generator.choice(_SENTENCES[generator.choice(("present", "present", "uncertain", "absent"))])
                size, side = generator.choice(_SIZES), generator.choice(_SIDES)
                place = generator.randint(1, 99)
                sentences.append(template.format(size=size, side=side, entity=entity, number=place))
            report = {"findings": filling + " ".join(sentences[:-1]), "impression": f"{sentences[-1]} Study {number}."}
            item = {"id": f"synthetic-{number}", "split": "training", "image": "none.png", "report": report}
            file.write(json.dumps(item) + "\n")


class InstantModel:
    """Replies at once, with findings that it reads off the synthetic sentences.

    Attributes:
        seconds: that it took for its replies.
    """

    backend = "instant"
    model = "sentences"
    slots = 8

    def __init__(self, entities: Sequence[str]) -> None:
        self.seconds = 0.0
        self._entities = sorted(entities, key=len, reverse=True)

    def send(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Future[Reply]:
        """Reply to the last turn."""
        began = time.perf_counter()
        findings = []
        for sentence in messages[-1]["content"].replace("\n", ". ").split(". "):
            entity = next((name for name in self._entities if name in sentence), None)
            if entity is not None:
                words = sentence.split()
                descriptors = [word for word in words if f"{word.lower()} " in _SIZES + _SIDES]
                certainty = _CUES.get(words[0], "present")
                findings.append(
                    {"evidence": sentence, "entity": entity, "certainty": certainty, "descriptors": descriptors}
                )
        future: Future[Reply] = Future()
        future.set_result(Reply(json.dumps({"findings": findings}), True, 1500, 40 * len(findings)))
        self.seconds += time.perf_counter() - began
        return future

    def close(self) -> None:
        """There is nothing to free."""


def measure(folder: Path, *, reports: int = 100_000) -> dict[str, Any]:
    """Distill synthetic reports twice and return the figures.

    Args:
        folder: for datalist, cache and output; some two kilobytes a report.
        reports: number of reports.

    Returns:
        ``reports`` and ``sentences``; for the runs ``asked`` and ``cached`` the ``reports_per_second``, the time of the
        model left out, and the ``memory_mib`` of the process, before the run and when a tenth, a half and all of the
        reports were done.
    """
    prompt = Prompt.read("chest")
    datalist = folder / "datalist.jsonl"
    write_reports(datalist, reports, list(prompt.entities))
    model = InstantModel(list(prompt.entities))
    distiller = LanguageModelDistiller(model, prompt)
    figures: dict[str, Any] = {"reports": reports}
    for run in ("asked", "cached"):
        memory = _Memory(reports)
        summary = distill_datalist(datalist, folder / "distilled.jsonl", distiller, progress=memory.tell)
        if summary["failures"] or (summary["asked"], summary["from_cache"])[run == "cached"] != reports:
            raise RuntimeError(f"the run that should be {run} was not: {summary}")
        figures["sentences"] = summary["sentences"]
        seconds, model.seconds = summary["seconds"] - model.seconds, 0.0
        figures[run] = {"reports_per_second": round(reports / seconds, 1), "memory_mib": memory.figures}
    return figures


class _Memory:
    def __init__(self, reports: int) -> None:
        self.figures = {"before": _memory_mib()}
        self._done = 0
        self._marks = {max(1, reports // 10): "10 %", max(1, reports // 2): "50 %", reports: "100 %"}

    def tell(self) -> None:
        self._done += 1
        if self._done in self._marks:
            self.figures[self._marks[self._done]] = _memory_mib()


def _memory_mib() -> float:
    """Memory of this process: at present where the system tells, elsewhere at its largest until now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (_MIB if sys.platform == "darwin" else _MIB >> 10), 1)
    else:
        import resource

        return round(pages * resource.getpagesize() / _MIB, 1)


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Speed and memory of distillation, everything but the model.")
    parser.add_argument("--reports", type=int, default=100_000, help="synthetic reports")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), reports=arguments.reports), indent=4))


if __name__ == "__main__":
    main()
