# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Bind anatomical terms to the words that say how they look: "heart size is normal", "tortuous aorta".

A heart, an aorta or a hilum is always there; only its state is a finding. A term without a state says nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple, cast

from radbundles.components.distillation.lexicon import Cue, CueList, Mention, Structure
from radbundles.components.distillation.scope import Target
from radbundles.components.distillation.trie import Found

_LIST = 14  # words that a list may put between a term and its verb phrase
_PHRASE = 4  # words between a term and its state inside one noun phrase
_RESPECTS = frozenset({"in", "for"})  # "is normal in size and contour"
_SHOWING = frozenset({"demonstrates", "demonstrate", "shows", "show", "has", "have"})
_BRIDGES = frozenset({"but", "yet", "otherwise"})  # "lungs are expanded but clear" still speaks of the lungs
_PLURAL = frozenset({"are", "were", "appear", "remain", "have"})


class State(NamedTuple):
    """How a structure looks, in words ``start`` to ``stop``."""

    certainty: str
    start: int
    stop: int
    weak: bool


def state_targets(marks: list[Found]) -> list[Target]:
    """Targets of the state words, so that :func:`judge` tells "enlarged" from "not enlarged"."""
    return [Target(first, last, cue) for first, last, cue in marks if cue.kind == "state"]


class StateFinder:
    """Finds the state of the structures of one sentence.

    Args:
        words: lower-case words of the text.
        span: first word of the sentence and the word after its last.
        marks: cues of the sentence.
        targets: judged targets, in order: state words, and findings, of which a structure may be the place.
        structures: places of the structures, in order.
        cues: the word lists.
    """

    def __init__(
        self,
        words: list[str],
        span: tuple[int, int],
        *,
        marks: list[Found],
        targets: list[Target],
        structures: list[Found],
        cues: CueList,
    ) -> None:
        self.words = words
        self.start, self.stop = span
        borderline = [Target(a, b, cue) for a, b, cue in marks if cue.phrase == "borderline"]
        usable = [t for t in targets if isinstance(t.payload, Cue) and not t.skipped]
        self.states = sorted(usable + borderline, key=lambda target: target.start)
        self.findings = {t.start for t in targets if isinstance(t.payload, Mention)}
        self.starts = [target.start for target in self.states]
        self.stops_scope = [a for a, _, cue in marks if cue.kind == "termination" and cue.phrase not in _BRIDGES]
        self.structure_words = {i for a, b, _ in structures for i in range(a, b)}
        self.cues = cues

    def find(self, first: int, last: int, structure: Structure) -> State | None:
        """State of the structure in words ``first`` to ``last``, None when the sentence gives none."""
        if not self.states or self._is_place(last, structure):
            return None
        for state in (
            self._before(first, structure, near=True),
            self._after(last, structure),
            self._before(first, structure, near=False),
        ):
            if state is not None:
                return State(state.certainty, min(first, state.start), max(last, state.stop), state.weak)
        return None

    def _is_place(self, last: int, structure: Structure) -> bool:
        """Whether the term only says where a finding lies: "prominent perihilar opacity"."""
        at = last
        while at < self.stop and self.words[at] in self.cues.descriptors and at not in self.findings:
            at += 1
        return at in self.findings and self.words[at] not in structure.abnormal

    def _before(self, first: int, structure: Structure, *, near: bool) -> State | None:
        """A state left of the term: "tortuous aorta", "calcification of the aortic arch", "normal heart and aorta"."""
        at = bisect_left(self.starts, first) - 1
        while at >= 0 and self.states[at].stop > first:
            at -= 1
        if at < 0:
            return None
        target = self.states[at]
        if first - target.stop > (2 if near else 2 * _PHRASE):
            return None
        between = self.words[target.stop : first]
        if between and between[0] not in _RESPECTS and self._ends_clause(target.start):
            return None
        if "," in between and (between[0] == "," or not self._is_normal(target, structure)):
            return None  # only normality spreads over a list: "normal heart size, mediastinum and hila"
        if near:
            if not all(word in self.cues.descriptors for word in between):
                return None
        elif not all(
            target.stop + i in self.structure_words
            or (word in self.cues.connectors or word in self.cues.descriptors)
            and not (word in self.cues.restart and between[i - 1 : i] == [","])
            for i, word in enumerate(between)
        ):
            return None
        return self._read(target, structure, since=None)

    def _after(self, last: int, structure: Structure) -> State | None:
        """A state right of the term: "aorta is tortuous", "heart size and mediastinum within normal limits"."""
        at = bisect_left(self.starts, last)
        barrier = bisect_left(self.stops_scope, last)
        limit = self.stops_scope[barrier] if barrier < len(self.stops_scope) else self.stop
        while at < len(self.states):
            target = self.states[at]
            if target.start >= limit or target.start - last > _LIST:
                return None
            between = self.words[last : target.start]
            verbs = [i for i, word in enumerate(between) if word in self.cues.copulas]
            if len(verbs) > 1:
                return None
            if verbs:
                # "heart, mediastinum and hila are normal" is a list; "hilar nodes, heart is normal" is two clauses
                if "," in between[: verbs[0]] and between[verbs[0]] not in _PLURAL:
                    return None
            elif self._belongs_to_next(target):
                return None
            elif not self._is_normal(target, structure) and (len(between) > _PHRASE or "," in between):
                return None
            elif len(between) > 2 * _PHRASE:
                return None
            found = self._read(target, structure, since=last if verbs or self._is_normal(target, structure) else None)
            if found is not None or not verbs or "and" not in self.words[target.stop : target.stop + 2]:
                return found
            at += 1  # "the lungs are expanded and clear"
        return None

    def _ends_clause(self, at: int) -> bool:
        """Whether the state at a word is what a verb says of something before it: "heart is normal, aorta ..."."""
        for i in range(max(self.start, at - 2), at):
            if self.words[i] in self.cues.copulas and self.words[i] not in _SHOWING:
                return i == self.start or self.words[i - 1] != "there"
        return False

    def _belongs_to_next(self, target: Target) -> bool:
        """Whether a state opens the noun phrase of another structure: "hila, normal heart size"."""
        return target.stop in self.structure_words or (
            target.stop + 1 in self.structure_words and self.words[target.stop] in self.cues.descriptors
        )

    def _is_normal(self, target: Target, structure: Structure) -> bool:
        cue = _cue(target)
        return cue.where == "normal" or cue.phrase in structure.normal

    def _read(self, target: Target, structure: Structure, since: int | None) -> State | None:
        """What a state means for a structure; ``since``: cues before this word belong to something else."""
        negated, doubted = (
            at is not None and (since is None or at >= since) for at in (target.negated_at, target.doubted_at)
        )
        phrase = _cue(target).phrase
        if phrase in structure.normal:
            # Only a negation of this very word counts: "no effusion, normal heart" is no enlarged heart.
            if not (negated and target.start - (target.negated_at or 0) <= 2):
                return State("absent", target.start, target.stop, True)
            certainty = "uncertain" if doubted else "present"
            # Lungs that are "not clear" do not say with what.
            return State(certainty, target.start, target.stop, False) if structure.abnormal else None
        if phrase == "borderline" or phrase in self.cues.borderline:
            return State("uncertain", target.start, target.stop, False) if structure.abnormal else None
        if phrase not in structure.abnormal:
            return None
        certainty = "absent" if negated else ("uncertain" if doubted else "present")
        return State(certainty, target.start, target.stop, certainty == "absent" and target.limited)


def _cue(target: Target) -> Cue:
    """The state word that a target of the finder carries."""
    return cast(Cue, target.payload)
