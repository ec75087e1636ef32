# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Lead the rows of a datalist through a language model: from the cache what is there, by asking what is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from radbundles.components.data.records import Row, report_sha256
from radbundles.components.distillation.answer_cache import AnswerCache
from radbundles.components.distillation.language_model import LanguageModelDistiller
from radbundles.components.distillation.shards import OpenShard, Shards, shard_name
from radbundles.components.distillation.talks import Outcome, Tally

_OPEN = 8  # shards with rows that wait; one slow report must not hold up the model
_NOTHING = Outcome({"text": "", "entities": []}, None)


class RowAsker:
    """Writes shards with the outcome of every row.

    A report is asked once, however many rows have it and even while it is under way; what the prompt leaves out of a
    report makes no difference. Held in memory are the rows of one shard with their reports, the lines of up to eight
    shards without, and the conversations under way.

    Args:
        distiller: that asks.
        cache: of its answers.
        shards: to write.
        progress: called after each row.
    """

    def __init__(
        self,
        distiller: LanguageModelDistiller,
        cache: AnswerCache,
        shards: Shards,
        progress: Callable[[], object] | None = None,
    ) -> None:
        self.tally = Tally()
        self.asked = self.from_cache = self.resumed_shards = 0
        self._distiller, self._cache, self._shards, self._progress = distiller, cache, shards, progress
        self._made_by = {"backend": distiller.name, "version": distiller.version}
        self._talks = distiller.talks()
        self._waiting: dict[str, list[tuple[OpenShard, int]]] = {}
        self._open = 0

    def ask(self, rows: Iterable[Row], shard_size: int) -> list[str]:
        """See to it that all rows stand in a shard.

        Args:
            rows: of the datalist.
            shard_size: rows of a shard.

        Returns:
            Names of the shards, in the order of the rows.

        Raises:
            ChatUnavailableError: if the model cannot be asked. What it answered until then is kept.
        """
        names = []
        for number, chunk in enumerate(_chunks(rows, shard_size)):
            # Rows that wait for nothing but a sign of life of the model hold nothing up; there are few of them.
            while self._open >= _OPEN and self._talks.under_way:
                self._settle(self._talks.receive())
            names.append(self._begin(number, chunk))
        while not self._talks.is_idle:
            self._settle([self._talks.next()])
        return names

    def _begin(self, number: int, chunk: list[Row]) -> str:
        digests = ["" if row.fault else report_sha256(row.item.get("report", {})) for row in chunk]
        parts = [
            [row.number, row.item.get("id"), digest, row.fault] for row, digest in zip(chunk, digests, strict=True)
        ]
        name = shard_name(number, [self._distiller.identity, self._made_by, self._cache.stamp, parts])
        if name in self._shards:
            self.resumed_shards += 1
            self._tell(len(chunk))
            return name
        shard = OpenShard(name, list(zip(chunk, digests, strict=True)), self._made_by)
        self._open += 1
        places: dict[str, list[int]] = {}
        reports: dict[str, Mapping[str, str]] = {}
        for place, row in enumerate(chunk):
            if row.fault is not None:
                self._fill(shard, place, Outcome(None, row.fault))
            # Known by the sections that the model sees: reports that differ in their indication alone are asked once.
            elif not (seen := dict(self._distiller.prompt.sections(row.item.get("report", {})))):
                self._fill(shard, place, _NOTHING)
            else:
                digest = report_sha256(seen)
                places.setdefault(digest, []).append(place)
                reports.setdefault(digest, seen)
        self._answer(shard, places, reports)
        return name

    def _answer(
        self, shard: OpenShard, places: Mapping[str, list[int]], reports: Mapping[str, Mapping[str, str]]
    ) -> None:
        found = self._cache.find(digest for digest in places if digest not in self._waiting)
        queue: deque[str] = deque()
        for digest, those in places.items():
            if digest in found:
                self.from_cache += len(those)
                for place in those:
                    self._fill(shard, place, found[digest])
                continue
            # All wait before the first is asked, so that what ends meanwhile reaches those that were looked up before.
            if digest in self._waiting:
                self.from_cache += len(those)
            else:
                self.from_cache += len(those) - 1
                queue.append(digest)
            self._waiting.setdefault(digest, []).extend((shard, place) for place in those)
        while queue:
            while not self._talks.has_room:
                self._settle(self._talks.receive())
            digest = queue.popleft()
            self._talks.start(digest, reports[digest])
            self.asked += 1

    def _settle(self, ended: Iterable[tuple[str, Outcome]]) -> None:
        for digest, outcome in ended:
            self._cache.keep(digest, outcome)
            self.tally += outcome.tally
            for shard, place in self._waiting.pop(digest):
                self._fill(shard, place, outcome)

    def _fill(self, shard: OpenShard, place: int, outcome: Outcome) -> None:
        shard.fill(place, outcome)
        if not shard.waiting:
            self._shards.write(shard)
            self._open -= 1
        self._tell(1)

    def _tell(self, rows: int) -> None:
        if self._progress is not None:
            for _ in range(rows):
                self._progress()


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
