# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule backend of entity-centered distillation: deterministic, offline, thousands of reports a second."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from radbundles.components.distillation.lexicon import CueList, EntityList, Mention, Statement, Structure
from radbundles.components.distillation.scope import Target, judge
from radbundles.components.distillation.sentences import Sentence, Words, split_sentences
from radbundles.components.distillation.structures import State, StateFinder, state_targets
from radbundles.components.distillation.trie import scan

_RULES = "1.1"
_RANK = {"absent": 0, "uncertain": 1, "present": 2}
_TEMPLATES = {"present": "There is {}.", "uncertain": "There may be {}.", "absent": "There is no {}."}
_PUNCTUATION = 4  # marks around a sentence of one word, such as quotes
_TERSE = 3  # sentences of a text in which a bare "Normal." can mean the whole image, not just the ribs
_DESCRIPTORS = 8  # words left of a finding that may belong to its noun phrase


class _Reading(NamedTuple):
    """One mention of one entity, judged."""

    entity: str
    certainty: str
    weak: bool
    impression: bool
    section: str
    start: int
    end: int
    descriptors: tuple[str, ...]


class RuleDistiller:
    """Distill reports with word lists and cue rules.

    Source: the output format is that of ECAMP's distilled text (paper, framework figure): one sentence for each entity
    found, in the three templates "There is X.", "There may be X.", "There is no X.". The authors had a language model
    write it; this backend needs none. Entities that the report does not speak of get no sentence.

    How mentions of one entity become one sentence:

    1. Sections that are not about the image (indication, history, comparison, technique, ...) are left out.
    2. Explicit mentions outrank weak ones: absence implied by normality ("heart size is normal") and absence of one
       kind only ("no large effusion").
    3. Among explicit mentions those of the impression decide if there are any.
    4. Of what is left, present beats uncertain beats absent.

    Args:
        entities: ``"chest"``, ``"fundus"`` or the path of a list of the same format.
        cues: path of a cue list that replaces the one of the package.

    Raises:
        FileNotFoundError: if a list does not exist.
        ValueError: if a list is malformed.
    """

    name = "rules"

    def __init__(self, entities: str | Path = "chest", cues: str | Path | None = None) -> None:
        self.cues = CueList.read() if cues is None else CueList.read(cues)
        self.entities = EntityList.read(entities, self.cues)
        lists = f"{self.entities.sha256[:8]}.{self.cues.sha256[:8]}"
        self.version = f"{_RULES}+{self.entities.name}-{self.entities.version}.{lists}"

    def distill(self, report: Mapping[str, str]) -> dict[str, Any]:
        """Distill one report.

        Args:
            report: section name -> text. A report of one piece may hold headings such as ``IMPRESSION:`` in its text.

        Returns:
            ``{"text": str, "entities": [...]}``, entities in the order of their first mention. ``evidence`` holds the
            character offsets, in the section's text, of the first mention that has the final certainty.

        Raises:
            TypeError: if the report is not a mapping of texts. The message never holds report text.
        """
        if not isinstance(report, Mapping):
            raise TypeError(f"a report is a mapping of section names to texts, not {type(report).__name__}")
        readings: dict[str, list[_Reading]] = {}
        for section, text in report.items():
            if not isinstance(section, str) or not isinstance(text, str):
                raise TypeError(f"section names and texts must be str, not {type(text).__name__}")
            for reading in self._read_section(section, text):
                readings.setdefault(reading.entity, []).append(reading)
        entities = [_merge(found) for found in readings.values()]
        sentences = [_TEMPLATES[e["certainty"]].format(self.entities.phrases[e["entity"]]) for e in entities]
        return {"text": " ".join(sentences), "entities": entities}

    def _read_section(self, section: str, text: str) -> Iterator[_Reading]:
        outer = self.cues.section_kind(section)
        if outer == "excluded" or not text:
            return
        words, sentences = split_sentences(
            text, abbreviations=self.cues.abbreviations, openers=self.cues.openers, headings=self.cues.headings
        )
        terse = len(sentences) <= _TERSE
        for sentence in sentences:
            kind = sentence.section or outer
            if kind != "excluded":
                yield from self._read_sentence(section, words, sentence, kind == "impression", terse)

    def _read_sentence(
        self, section: str, text: Words, sentence: Sentence, impression: bool, terse: bool
    ) -> Iterator[_Reading]:
        words, _, _ = text
        start, stop, _ = sentence
        found = scan(words, start, stop, self.entities.trie)
        if not found:
            return
        marks = scan(words, start, stop, self.entities.cue_trie)
        structures = [mark for mark in found if isinstance(mark[2], Structure)]
        findings = [Target(a, b, p) for a, b, p in found if isinstance(p, (Mention, Statement))]
        targets = findings
        if structures:
            targets = sorted(findings + state_targets(marks), key=lambda target: target.start)
        judge(words, start, stop, marks, targets, self.cues)
        states: dict[int, State | None] = {}
        if structures:
            finder = StateFinder(
                words, (start, stop), marks=marks, targets=targets, structures=structures, cues=self.cues
            )
            states = {first: finder.find(first, last, structure) for first, last, structure in structures}
        firsts = [target.start for target in findings]
        for first, last, payload in found:
            if isinstance(payload, Structure):
                state = states[first]
                if state is None:
                    continue
                certainty, weak, names = state.certainty, state.weak, payload.entities
                first, last = state.start, state.stop
                descriptors: tuple[str, ...] = ()
            elif payload is None:
                continue
            else:
                target = findings[bisect_left(firsts, first)]
                if target.skipped:
                    continue
                if isinstance(payload, Statement):
                    alone = terse and _is_alone(words, sentence, first, last)
                    if target.certainty != "present" or (payload.alone and not alone):
                        continue
                    certainty, weak, names, descriptors = "absent", True, payload.entities, ()
                else:
                    certainty, weak, names = target.certainty, target.limited, (payload.entity,)
                    descriptors = self._descriptors(words, start, first)
            for name in names:
                yield _Reading(
                    name, certainty, weak, impression, section, text.starts[first], text.ends[last - 1], descriptors
                )

    def _descriptors(self, words: list[str], start: int, first: int) -> tuple[str, ...]:
        """Adjectives of size, side, place, degree and age left of a finding, back to the first other word."""
        taken: list[str] = []
        at = first - 1
        while at >= max(start, first - _DESCRIPTORS):
            word = words[at]
            if word in self.cues.descriptors:
                taken.append(word)
            elif word not in (",", "and", "to", "or"):
                break
            at -= 1
        return tuple(reversed(taken))


def _is_alone(words: list[str], sentence: Sentence, first: int, last: int) -> bool:
    """Whether a sentence holds nothing but these words and a little punctuation."""
    if sentence.stop - sentence.start - (last - first) > _PUNCTUATION:
        return False
    around = words[sentence.start : first] + words[last : sentence.stop]
    return not any(word.isalnum() for word in around)


def _merge(readings: list[_Reading]) -> dict[str, Any]:
    """One record from all mentions of an entity, see :class:`RuleDistiller`."""
    deciding = [r for r in readings if not r.weak] or readings
    deciding = [r for r in deciding if r.impression and not r.weak] or deciding
    certainty = max((r.certainty for r in deciding), key=_RANK.__getitem__)
    agreeing = [r for r in readings if r.certainty == certainty]
    evidence = next(r for r in deciding if r.certainty == certainty)
    return {
        "entity": evidence.entity,
        "certainty": certainty,
        "evidence": {"section": evidence.section, "start": evidence.start, "end": evidence.end},
        "descriptors": list(dict.fromkeys(word for r in agreeing for word in r.descriptors)),
    }
