# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From what a language model replied to a distilled report: nothing is taken over that the report does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from radbundles.components.distillation.chat import Reply
from radbundles.components.distillation.quotes import QuoteFinder, Span
from radbundles.components.distillation.reply_json import find_object

if TYPE_CHECKING:
    from radbundles.components.distillation.prompt import Prompt

FaultKind = Literal["not_json", "cut_off", "wrong_shape", "quotes", "unknown_entity", "unknown_certainty"]
CERTAINTIES = ("present", "uncertain", "absent")  # the first outranks the others where a reply gives several
FAULT_KINDS: tuple[FaultKind, ...] = (
    "not_json",
    "cut_off",
    "wrong_shape",
    "quotes",
    "unknown_entity",
    "unknown_certainty",
)
_RANK = {certainty: rank for rank, certainty in enumerate(CERTAINTIES)}
_FINDINGS = 500  # more are a model running in circles
_DESCRIPTORS = 8  # of one finding
_WHOLE = {
    "not_json": "the reply was not JSON",
    "cut_off": "the reply was cut off",
    "wrong_shape": "the reply had the wrong shape",
}
_PARTS = {
    "wrong_shape": "{} of {} findings had the wrong shape",
    "quotes": "{} of {} quotes do not occur in the report",
    "unknown_entity": "{} of {} findings named an entity that is not on the list",
    "unknown_certainty": "{} of {} findings had an unknown certainty",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a reply, without a word of it. ``str(fault)`` is a sentence for logs.

    Args:
        kind: one of ``FAULT_KINDS``.
        places: numbers, from 1, of the findings concerned; empty if the reply as a whole is.
        total: number of findings of the reply.
    """

    kind: FaultKind
    places: tuple[int, ...] = ()
    total: int = 0

    @property
    def count(self) -> int:
        """Number of findings concerned."""
        return len(self.places)

    def __str__(self) -> str:
        return _PARTS[self.kind].format(self.count, self.total) if self.places else _WHOLE[self.kind]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is left of a reply.

    Args:
        output: ``{"text", "entities"}`` as ``distilled.schema.json`` describes them; None if the reply is no answer.
        faults: what was wrong, at most one of each kind; empty for a good reply.
        rejected_spans: quotes that do not occur in the report; their findings were dropped.
        rejected_descriptors: descriptors that do not occur in the report, or were too many.
    """

    output: dict[str, Any] | None
    faults: tuple[Fault, ...] = ()
    rejected_spans: int = 0
    rejected_descriptors: int = 0


class _Finding(NamedTuple):
    entity: str
    certainty: str
    span: Span
    descriptors: tuple[str, ...]


def read_answer(reply: Reply, report: Mapping[str, str], prompt: Prompt) -> Answer:
    """Read a reply and hold it against the report.

    A finding is kept if it names an entity of the prompt and a certainty (case and white space aside) and its evidence
    is found by :class:`QuoteFinder` in a section that the prompt does not exclude. Several findings of one entity
    become one: present beats uncertain beats absent, with the first evidence of that certainty in reading order and the
    descriptors of all that have it. The output holds names of the list and words of the report, none of the model's.

    Args:
        reply: of the model.
        report: section name -> text, in the order of reading.
        prompt: that was asked.

    Returns:
        The answer. Its output is None if the reply is no JSON object with findings, or if no finding has the right
        shape. A reply that goes on after its object, to the token limit even, is read.
    """
    value, is_json = find_object(reply.text, "findings")
    if value is None:
        kind: FaultKind = "cut_off" if not reply.complete else "wrong_shape" if is_json else "not_json"
        return Answer(None, (Fault(kind),))
    entries = value["findings"]
    if not isinstance(entries, list) or len(entries) > _FINDINGS:
        return Answer(None, (Fault("wrong_shape"),))
    sections = prompt.sections(report)
    finder = QuoteFinder(text for _, text in sections)
    places: dict[FaultKind, list[int]] = {}
    found: dict[str, list[_Finding]] = {}
    rejected_descriptors = 0
    for number, entry in enumerate(entries, start=1):
        fields = _fields(entry)
        if fields is None:
            places.setdefault("wrong_shape", []).append(number)
            continue
        evidence, named, judged, words = fields
        entity, certainty, span = prompt.entity(named), _certainty(judged), finder.find(evidence)
        if entity is None:
            places.setdefault("unknown_entity", []).append(number)
        if certainty is None:
            places.setdefault("unknown_certainty", []).append(number)
        if span is None:
            places.setdefault("quotes", []).append(number)
        if entity is None or certainty is None or span is None:
            continue
        descriptors = _descriptors(words, finder)
        rejected_descriptors += len(words) - len(descriptors)
        found.setdefault(entity, []).append(_Finding(entity, certainty, span, tuple(dict.fromkeys(descriptors))))
    faults = tuple(Fault(kind, tuple(places[kind]), len(entries)) for kind in FAULT_KINDS if kind in places)
    if entries and len(places.get("wrong_shape", ())) == len(entries):
        return Answer(None, (Fault("wrong_shape"),))
    output = _compose(found, [name for name, _ in sections], prompt)
    return Answer(output, faults, len(places.get("quotes", ())), rejected_descriptors)


def _fields(entry: Any) -> tuple[str, str, str, list[Any]] | None:
    """The four fields of a finding, None if one is not what it should be; descriptors may be left out."""
    if not isinstance(entry, dict):
        return None
    evidence, entity, certainty = entry.get("evidence"), entry.get("entity"), entry.get("certainty")
    words = entry.get("descriptors") or []
    if not (isinstance(evidence, str) and isinstance(entity, str) and isinstance(certainty, str)):
        return None
    return (evidence, entity, certainty, words) if isinstance(words, list) else None


def _certainty(text: str) -> str | None:
    if text in _RANK:
        return text
    return text if (text := text.strip().lower()) in _RANK else None


def _descriptors(words: list[Any], finder: QuoteFinder) -> list[str]:
    spans = (finder.find(word) for word in words[:_DESCRIPTORS] if isinstance(word, str))
    return [finder.words(span) for span in spans if span is not None]


def _compose(found: Mapping[str, list[_Finding]], names: list[str], prompt: Prompt) -> dict[str, Any]:
    """One record an entity, in the order of their evidence."""
    merged = sorted((_merge(findings) for findings in found.values()), key=lambda finding: finding.span)
    return {
        "text": " ".join(prompt.sentence(finding.entity, finding.certainty) for finding in merged),
        "entities": [
            {
                "entity": finding.entity,
                "certainty": finding.certainty,
                "evidence": {
                    "section": names[finding.span.place],
                    "start": finding.span.start,
                    "end": finding.span.end,
                },
                "descriptors": list(finding.descriptors),
            }
            for finding in merged
        ],
    }


def _merge(findings: list[_Finding]) -> _Finding:
    if len(findings) == 1:
        return findings[0]
    certainty = min((finding.certainty for finding in findings), key=_RANK.__getitem__)
    agreeing = sorted((f for f in findings if f.certainty == certainty), key=lambda finding: finding.span)
    words = dict.fromkeys(word for finding in agreeing for word in finding.descriptors)
    return agreeing[0]._replace(descriptors=tuple(words))
