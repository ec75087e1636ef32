# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI handler: judge a pass over a section, and write its table, result, page and manifest."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.engines.workflow import Workflow

from radbundles.components.evaluation.epoch_rows import EpochRows
from radbundles.components.evaluation.facts import sample_facts
from radbundles.components.evaluation.operating import read_points
from radbundles.components.evaluation.page import evaluation_page
from radbundles.components.evaluation.protocol import Evaluator
from radbundles.components.evaluation.result import as_json, write_json
from radbundles.components.reports.manifest import run_manifest, write_manifest
from radbundles.components.reports.page import write_page
from radbundles.components.reports.phases import Phases

__all__ = ["WriteEvaluation"]


class WriteEvaluation:
    """Write ``predictions.csv`` (or ``.jsonl``), ``evaluation.json`` and ``report.html`` after a pass of an evaluator.

    The first has every sample, with the running number of its patient and never the patient's id; the second every
    figure with its interval, see :class:`~radbundles.components.evaluation.Evaluation`; the third shows both. Means
    come into the engine's metrics on the first process. In a config::

        {"_target_": "radbundles.components.evaluation.WriteEvaluation",
         "evaluator": "@judge", "folder": "@results", "items": "@test#items",
         "points": "$os.path.join(@output_dir, 'operating_points.json')"}

    Args:
        evaluator: of the task.
        folder: where the files are written.
        items: of the section, in any order; patients and groups come from them. What their ``left_out`` counts, if
            they have it, is told in the notes.
        points: operating points of the validation section: the file, or what it holds. None judges by the plain
            defaults, which the page says.
        section: of the datalist.
        name: what was judged, for the title and the manifest.
        columns: what tells subgroups apart, see :func:`~radbundles.components.evaluation.sample_facts`.
        age_bands: lower bounds in years.
        report: also write the run's manifest to this file.
        settings: config of the run, for the manifest.
        files: role -> path of the files that decide the result, for the manifest.
        seeds: seed of each source of randomness, for the manifest.

    Raises:
        ValueError: no items, a column that tells no groups apart, or, when the engine starts, points of another task or
            other classes.
        FileNotFoundError: there are no such points when the engine starts.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        folder: str | Path,
        items: Iterable[Mapping[str, Any]],
        *,
        points: str | Path | Mapping[str, Any] | None = None,
        section: str = "test",
        name: str = "evaluation",
        columns: Sequence[str] = ("sex", "view", "source", "age"),
        age_bands: Sequence[float] = (0, 18, 40, 60, 75),
        report: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        files: Mapping[str, str | Path] | None = None,
        seeds: Mapping[str, int] | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.folder = Path(folder)
        self.facts = sample_facts(items, columns, age_bands)
        if not self.facts:  # MONAI skips a run without batches and goes on
            raise ValueError(f"there is nothing to evaluate: the section {section!r} has no items")
        self.left_out: Mapping[str, int] = getattr(items, "left_out", {})
        self.points = points
        self.section = section
        self.name = name
        self.report = None if report is None else Path(report)
        self.manifest: dict[str, Any] = {"config": settings or {}, "files": files or {}, "seeds": seeds or {}}
        self._read: dict[str, Any] | None = None
        self._phases = Phases()
        self._rows = EpochRows(evaluator, self._finish)

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        self._rows.attach(engine)

    def _start(self, engine: Workflow) -> None:
        # Before the pass and not at its end: points that do not fit would cost all of it.
        if self.points is not None:
            self._read = read_points(self.points, task=self.evaluator.task, classes=self.evaluator.classes)
        self._phases = Phases()
        self._began = time.perf_counter()

    def _finish(self, engine: Workflow, rows: dict[str, Any]) -> None:
        self._phases.seconds["inference"] = time.perf_counter() - self._began
        strange = next((id for id in rows if id not in self.facts), None)
        if strange is not None:
            raise ValueError(f"the engine evaluated item {strange!r}, which is not among the items given")
        with self._phases("scores"):
            result, blocks, table = self.evaluator.finish(rows, self._read, self.facts)
        result = as_json({"task": result["task"], "section": self.section, **result})
        result["notes"] = self._notes(rows) + result.get("notes", [])
        engine.state.metrics.update({name: _estimate(entry) for name, entry in result["mean"].items()})
        table.write(self.folder / f"predictions{table.suffix}")
        write_json(self.folder / "evaluation.json", result)
        manifest = None
        if self.report is not None:
            manifest = run_manifest(
                self.name,
                **self.manifest,
                phases=self._phases,
                metrics=_figures(result),
                device=str(engine.state.device),
            )
            write_manifest(self.report, manifest)
        write_page(self.folder / "report.html", evaluation_page(result, blocks, title=self.name, manifest=manifest))

    def _notes(self, rows: Mapping[str, Any]) -> list[str]:
        notes = []
        if self._read is None:
            notes.append("No operating points of a validation section were given: thresholds are plain defaults.")
        elif self._read["section"] == self.section:
            notes.append(
                f"The operating points were chosen on this very section ({self.section}): figures at them, and "
                "calibration after them, are flattering."
            )
        if len(rows) < len(self.facts):
            notes.append(
                f"{len(self.facts) - len(rows)} of {len(self.facts)} samples of the section were not evaluated."
            )
        notes += [f"Left out: {count} ({reason})." for reason, count in sorted(self.left_out.items()) if count]
        return notes


def _estimate(entry: Sequence[float | None]) -> float:
    return math.nan if entry[0] is None else entry[0]


def _figures(result: Mapping[str, Any]) -> dict[str, float]:
    """Estimates for the manifest: ``mean/<metric>`` and ``<class>/<metric>``."""
    parts = {"mean": result["mean"], **result["classes"]}
    return {
        f"{part}/{name}": _estimate(entry)
        for part, scores in parts.items()
        for name, entry in scores.items()
        if isinstance(entry, list)
    }
