# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers of language models on disk, so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from radbundles.components.data.datalist import dump_line
from radbundles.components.distillation.talks import Outcome, Tally

_APPLICATION = 0x52424143  # "RBAC" in the header of the file
_FORMAT = 1
_BATCH = 500  # reports of one query; SQLite's oldest limit is 999
_TABLES = (
    """CREATE TABLE answers (
        key BLOB PRIMARY KEY, asker BLOB NOT NULL, output TEXT, reason TEXT, requests INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
        rejected_spans INTEGER NOT NULL, rejected_descriptors INTEGER NOT NULL
    )""",
    "CREATE INDEX failed ON answers (asker) WHERE reason IS NOT NULL",
    "CREATE TABLE stamp (value TEXT NOT NULL)",
    "INSERT INTO stamp VALUES (lower(hex(randomblob(16))))",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)


class AnswerCache:
    """A file of outcomes, found by report, prompt and model.

    An SQLite file that one process at a time may open. Once :meth:`keep` returns, the outcome outlasts the process
    however suddenly that ends, and the file stays whole even if the machine stops. It holds digests of reports, outputs
    and reasons; no report, no id.

    Args:
        path: the file; it is made if it is not there.
        identity: what decides about an answer besides the report: digest of the prompt, kind of model, its name.

    Raises:
        OSError: if the file cannot be opened, or another process uses it.
        ValueError: if the file is damaged or something else.
    """

    def __init__(self, path: str | os.PathLike[str], identity: tuple[str, str, str]) -> None:
        self.path = Path(path)
        self._identity = hashlib.sha256(json.dumps(identity).encode())
        self._asker = self._identity.digest()[:8]
        self._holder = self.path.with_name(f"{self.path.name}.holder")
        with self._named_errors():
            self._db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)  # each statement is a transaction
        try:
            with self._named_errors():
                self._open()
        except BaseException:
            self._db.close()
            raise
        self._holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stamp(self) -> str:
        """Changes whenever an answer may differ from before: with another file, and when failures are dropped."""
        with self._named_errors():
            return str(self._db.execute("SELECT value FROM stamp").fetchone()[0])

    def find(self, reports: Iterable[str]) -> dict[str, Outcome]:
        """Outcomes that are there.

        Args:
            reports: digests of reports, or of the sections that were asked about, see
                :func:`~radbundles.components.data.records.report_sha256`.

        Returns:
            Digest -> outcome.
        """
        found: dict[str, Outcome] = {}
        digests = iter(reports)
        while batch := {self._key(digest): digest for digest in islice(digests, _BATCH)}:
            marks = ",".join("?" * len(batch))
            query = (
                "SELECT key, output, reason, requests, prompt_tokens, completion_tokens, rejected_spans, "
                f"rejected_descriptors FROM answers WHERE key IN ({marks})"
            )
            with self._named_errors():
                rows = self._db.execute(query, list(batch)).fetchall()
            for key, output, reason, *tally in rows:
                found[batch[key]] = Outcome(None if output is None else json.loads(output), reason, Tally(*tally))
        return found

    def keep(self, report: str, outcome: Outcome) -> None:
        """Write an outcome down.

        Args:
            report: digest of the report.
            outcome: that it had.
        """
        output = None if outcome.output is None else dump_line(outcome.output)
        values = (self._key(report), self._asker, output, outcome.reason, *outcome.tally.values())
        with self._named_errors():
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?,?,?,?,?)", values)

    def forget_failures(self) -> int:
        """Drop the failures of this prompt and model, so that they are asked again; return their number."""
        with self._named_errors(), self._db:
            self._db.execute("BEGIN")
            dropped = self._db.execute("DELETE FROM answers WHERE reason IS NOT NULL AND asker = ?", (self._asker,))
            self._db.execute("UPDATE stamp SET value = lower(hex(randomblob(16)))")
        return dropped.rowcount

    def close(self) -> None:
        """Let others open the file."""
        self._holder.unlink(missing_ok=True)
        self._db.close()

    def _open(self) -> None:
        # Held by one process, the journal needs no memory shared with others, which network folders do not offer.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        mark = self._db.execute("PRAGMA application_id").fetchone()[0]
        form = self._db.execute("PRAGMA user_version").fetchone()[0]
        used = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if used and (mark, form) != (_APPLICATION, _FORMAT):
            raise ValueError(f"{self.path} is no cache of answers of this release; choose another name for the cache")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._db:
            self._db.execute("BEGIN EXCLUSIVE")
            if not used:
                for statement in _TABLES:
                    self._db.execute(statement)

    def _key(self, report: str) -> bytes:
        key = self._identity.copy()
        key.update(report.encode())
        return key.digest()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn errors of SQLite into those that name the file and what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise OSError(
                    f"{self.path} is in use by {self._read_holder()}; wait for it or choose another"
                ) from None
            raise OSError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self.path} is damaged or no cache of answers ({error}); move it away, and all is asked anew"
            ) from error

    def _read_holder(self) -> str:
        try:
            return self._holder.read_text(encoding="utf-8")
        except OSError:
            return "another process"
