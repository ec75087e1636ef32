# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Finished pieces of a job on disk, so that a job that was cut off need not write them again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from radbundles.components.data.records import Row, atomic, failure_line, record_line
from radbundles.components.distillation.census import Census
from radbundles.components.distillation.talks import Outcome

_FAILURE = '{"row"'  # opens the line of a row that failed; that of a record opens with its id


def shard_name(number: int, made_from: Any) -> str:
    """File name of a shard: its place, and a digest of all that decides about its content."""
    digest = hashlib.sha256(json.dumps(made_from, separators=(",", ":")).encode()).hexdigest()
    return f"{number:06d}-{digest[:24]}.jsonl"


class OpenShard:
    """A shard some of whose rows wait for their outcome. It holds no text of reports.

    Args:
        name: of its file.
        rows: number, id, digest of the report and whether there is a report, of each row.
        made_by: ``backend`` and ``version`` of the records.
    """

    def __init__(self, name: str, rows: Sequence[tuple[Row, str]], made_by: dict[str, str]) -> None:
        self.name = name
        self.census = Census()
        self.lines = [""] * len(rows)
        self.waiting = len(rows)
        self._made_by = made_by
        self._rows = [
            (row._replace(item={"id": row.item.get("id")}), digest, bool(row.item.get("report")))
            for row, digest in rows
        ]

    def fill(self, place: int, outcome: Outcome) -> None:
        """Make the line of a row from its outcome."""
        row, digest, has_report = self._rows[place]
        if outcome.output is None:
            reason = outcome.reason or "there is no output"
            self.census.add_failure(reason)
            self.lines[place] = failure_line(row, reason)
        else:
            self.census.add_output(outcome.output, has_report=has_report)
            self.lines[place] = record_line(row.item["id"], digest, {**outcome.output, **self._made_by})
        tally = outcome.tally
        self.census.add_rejected(spans=tally.rejected_spans, descriptors=tally.rejected_descriptors)
        self.waiting -= 1


class Shards:
    """The folder of a job's shards.

    Args:
        folder: that holds them. It is made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def write(self, shard: OpenShard) -> None:
        """Write a shard whose rows are all done; it appears whole or not at all."""
        self._folder.mkdir(exist_ok=True)
        with atomic(self._folder / shard.name) as file:
            file.write(json.dumps(shard.census.state(), ensure_ascii=False) + "\n")
            file.writelines(shard.lines)

    def join(self, names: Iterable[str], records: IO[str], failures: IO[str]) -> Census:
        """Copy shards, in the order of their names as given, into the files of a job and add up their counts."""
        census = Census()
        for name in names:
            with open(self._folder / name, encoding="utf-8", newline="\n") as file:
                census.update(Census(json.loads(next(file))))
                for line in file:
                    (failures if line.startswith(_FAILURE) else records).write(line)
        return census

    def remove(self) -> None:
        """Remove all shards, those of runs long past too, and nothing else."""
        if not self._folder.is_dir():
            return
        for pattern in ("[0-9]*-*.jsonl", ".[0-9]*-*.jsonl.*.part"):
            for path in self._folder.glob(pattern):
                path.unlink(missing_ok=True)
        if not os.listdir(self._folder):
            self._folder.rmdir()
