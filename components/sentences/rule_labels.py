# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels of a sentence by the rules that distill reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from radbundles.components.distillation import Distiller, RuleDistiller
from radbundles.transforms.label_table import LabelTable

_CERTAINTY = {"present": 1, "uncertain": -1, "absent": 0}
_RANK = {0: 0, -1: 1, 1: 2}
_CACHED = 2**16  # sentences; reports say a few thousand things over and over
_CLAUSE = re.compile(r"[;,]|\b(?:and|but|while)\b", re.I)
# The tokens of split_sentences stand apart, while the rules know "x-ray", "patient's" and "2.5".
_TORN = re.compile(r"(?<=\w) (['-]) (?=\w)|(?<=\d) (\.) (?=\d)")


class RuleLabels:
    """Read the labels of a sentence from the entities that distillation finds in it.

    A class is present, uncertain or absent as its entities are; of several the strongest counts. "No finding" is
    present in a sentence that denies something and names nothing that is or may be there, supports apart ("no pleural
    effusion", "normal chest"), and absent in one that names something, also something outside of the table.

    A location is present (uncertain) if the finding or device nearest to one of its terms is, in the same clause
    where that names any; of what is absent the place tells nothing.

    Args:
        table: the classes and their entities or terms.
        distillers: backends to ask; by default the rules with each entity list that the table names.

    Raises:
        ValueError: if the table has classes but no entities to find them by.
    """

    name = "rules"

    def __init__(self, table: LabelTable, distillers: Sequence[Distiller] | None = None) -> None:
        self._distillers = [RuleDistiller(name) for name in table.entity_lists] if distillers is None else distillers
        self._classes: dict[str, list[str]] = {}
        for place, (name, entities) in enumerate(zip(table.names, table.entities, strict=True)):
            for entity in entities if place != table.no_finding else ():
                self._classes.setdefault(entity, []).append(name)
        if not self._distillers or not self._classes:
            raise ValueError(
                f"{table.source} names no entity_lists or no entities of its classes, so that rules cannot label "
                "sentences with it; add them, or take the labels from a CheXbert file"
            )
        self._locations = {
            table.names[place]: re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, table.terms[place]))})(?!\w)", re.I)
            for place in table.locations
        }
        self._no_finding = None if table.no_finding is None else table.names[table.no_finding]
        self._supports = {entity for place in table.supports for entity in table.entities[place]}
        self.version = ", ".join(distiller.version for distiller in self._distillers)
        self._cached = lru_cache(_CACHED)(self._read)

    def __call__(self, sentence: str) -> dict[str, int]:
        """Return name -> 1, 0 or -1 (uncertain) of the classes that the sentence speaks of."""
        return dict(self._cached(sentence))

    def _read(self, sentence: str) -> dict[str, int]:
        report = {"text": _TORN.sub(r"\1\2", sentence)}
        labels: dict[str, int] = {}
        named: list[tuple[int, int, int]] = []  # first character, the one after the last, value
        found = absent = False
        for distiller in self._distillers:
            for entry in distiller.distill(report)["entities"]:
                value = _CERTAINTY[entry["certainty"]]
                if self._locations:
                    named.append((entry["evidence"]["start"], entry["evidence"]["end"], value))
                found |= value != 0 and entry["entity"] not in self._supports
                absent |= value == 0
                for name in self._classes.get(entry["entity"], ()):
                    if name not in labels or _RANK[value] > _RANK[labels[name]]:
                        labels[name] = value
        if self._no_finding is not None and (found or absent):
            labels[self._no_finding] = int(not found)
        return labels | self._places(report["text"], named)

    def _places(self, text: str, named: Sequence[tuple[int, int, int]]) -> dict[str, int]:
        """Locations of what is or may be there, each term taken for what stands nearest to it, in its clause first."""
        places: dict[str, int] = {}
        if any(value for _, _, value in named):
            for name, terms in self._locations.items():
                for term in terms.finditer(text):
                    *_, value = min(
                        named,
                        key=lambda it: (
                            bool(_CLAUSE.search(text, min(it[1], term.end()), max(it[0], term.start()))),
                            max(it[0] - term.end(), term.start() - it[1]),
                        ),
                    )
                    if value and _RANK[value] > _RANK[places.get(name, 0)]:
                        places[name] = value
        return places
