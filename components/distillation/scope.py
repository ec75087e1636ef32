# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Decide whether a finding is present, uncertain or absent from the cue words around it.

The idea is that of NegEx (Chapman et al., 2001) and ConText (Harkema et al., 2009): a cue before a finding reaches
forward, a cue after it reaches back, termination words stop both. The rules and the lists are this project's own.
Each sentence is read once forward and once backward, so the time is linear in its length.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from radbundles.components.distillation.lexicon import Cue, CueList
from radbundles.components.distillation.trie import Found

_LIMITED = 8  # words between a negation and a finding that are searched for a limiting adjective ("no large ...")
_ALTERNATIVE = 5  # words between "versus" and a finding
_JOINERS = frozenset({",", "and", "or", "nor", "/"})  # what may stand between the members of a list
_NEGATED = frozenset({"not", "cannot"})


@dataclass(slots=True)
class Target:
    """A run of words whose certainty is asked for; the fields after ``stop`` are what :func:`judge` finds.

    Attributes:
        start: first word.
        stop: word after the last.
        payload: what stands there; a state word carries its :class:`Cue`.
        negated_at: word of the negation that reaches the target, None without.
        doubted_at: word of the uncertainty cue that reaches it, None without.
        limited: the negation is of a kind of finding only ("no large effusion"), so it says little on the finding.
        skipped: history, question or recommendation; says nothing on this image.
    """

    start: int
    stop: int
    payload: object
    negated_at: int | None = None
    doubted_at: int | None = None
    limited: bool = False
    skipped: bool = False

    @property
    def certainty(self) -> str:
        """``"present"``, ``"uncertain"`` or ``"absent"``."""
        if self.negated_at is not None:
            return "absent"
        return "present" if self.doubted_at is None else "uncertain"


def judge(words: list[str], start: int, stop: int, marks: list[Found], targets: list[Target], cues: CueList) -> None:
    """Fill in the verdict of every target of the sentence ``words[start:stop]``.

    Args:
        words: lower-case words.
        start: first word of the sentence.
        stop: word after its last.
        marks: cues found in the sentence (payload :class:`Cue`), left to right.
        targets: sorted by ``start``; changed in place.
        cues: the word lists.
    """
    events: list[tuple[int, int, Cue | Target | None]] = [(t.start, 0, t) for t in targets]
    events += [(mark[0], 1, mark[2]) for mark in marks if mark[2].kind != "state"]
    events += [
        (i, 2, None)  # a comma before "mild", "stable" ...: a new assertion
        for i in range(start, stop - 1)
        if words[i] in (",", "and") and words[i + 1] in cues.restart
    ]
    if len(events) == len(targets) and not marks:
        return
    firsts = [target.start for target in targets]
    events.sort(key=lambda event: event[:2])
    backward = _forward(words, events, {mark[0]: mark[1] for mark in marks}, cues)
    _backward(words, backward, cues)
    for first, last, cue in marks:
        if cue.kind == "state" and cue.where == "borderline":  # "borderline enlarged heart"
            for target in targets[bisect_right(firsts, first) : bisect_right(firsts, last)]:
                target.doubted_at = first
    findings = [target for target in targets if not isinstance(target.payload, Cue)]
    places = [target.start for target in findings]
    for first, last, cue in marks:
        if cue.kind == "alternative":
            at = bisect_left(places, first)
            _alternative(words, first, last, cue, _phrase(findings[:at][::-1])[::-1], _phrase(findings[at:]), cues)
    doubted = {target.start: target.doubted_at for target in findings if target.doubted_at is not None}
    for target in targets:
        if isinstance(target.payload, Cue) and target.doubted_at is None:  # "congestion" is a finding and a state
            target.doubted_at = doubted.get(target.start)


def _forward(
    words: list[str], events: list[tuple[int, int, Cue | Target | None]], ends: dict[int, int], cues: CueList
) -> list[tuple[int, Cue | Target | None]]:
    """Carry the cues before a finding to it; return the events of the backward pass."""
    backward: list[tuple[int, Cue | Target | None]] = []
    negated: tuple[int, int] | None = None
    doubted: int | None = None
    skipping: int | None = None
    seen = False
    for index, (at, _, event) in enumerate(events):
        if isinstance(event, Target):
            seen = True
            if negated is not None:
                event.negated_at = negated[0]
                event.limited = any(w in cues.qualifiers for w in words[max(negated[1], at - _LIMITED) : at])
            event.doubted_at = doubted
            event.skipped = skipping is not None and "," not in words[max(skipping, at - _LIMITED) : at]
        elif event is None:
            negated = doubted = None
        elif event.kind == "termination":
            negated = None
            if event.where == "any":
                doubted, skipping, seen = None, None, False
        elif event.kind == "skip":
            skipping = at
        elif event.kind in ("negation", "uncertainty"):
            before = event.where == "pre" or (
                event.where == "both" and _looks_forward(words, ends[at], index, events, seen)
            )
            if before and event.kind == "negation":
                negated, doubted = (at, ends[at]), None
            elif before:
                # "no effusion, possible nodule": the comma ends the list of what is absent
                if at and words[at - 1] in (",", "and"):
                    negated = None
                doubted = at
            else:
                backward.append((at, Cue(event.kind, "post", event.phrase)))
                continue
        backward.append((at, event))
    return backward


def _looks_forward(
    words: list[str], end: int, index: int, events: list[tuple[int, int, Cue | Target | None]], seen: bool
) -> bool:
    """Whether a cue that stands on either side ("likely", "resolved") belongs to what follows it."""
    if not seen:
        return True
    if words[events[index][0] - 1] == "," and end < len(words) and words[end].isalpha():
        return True  # "mass, probably a goiter": the mass is certain, what it is is not
    if index + 1 == len(events) or (end < len(words) and words[end] == ","):
        return False
    for ahead in range(index + 1, len(events)):
        following = events[ahead][2]
        if isinstance(following, Target):
            return True
        if following is None or following.kind != "termination" or following.where == "any":
            return following is not None and following.kind == "uncertainty" and following.where != "post"
    return False  # only links such as "representing" came, which lead nowhere


def _backward(words: list[str], events: list[tuple[int, Cue | Target | None]], cues: CueList) -> None:
    """Carry the cues after a finding back to it, and through a list of findings ("A, B and C are not seen")."""
    active: tuple[int, Cue] | None = None
    nearest: Target | None = None  # the target to the right of the current one that the active cue reached
    for at, event in reversed(events):
        if isinstance(event, Target):
            if active is None:
                continue
            if nearest is not None and not all(
                word in _JOINERS or word in cues.descriptors for word in words[event.stop : nearest.start]
            ):
                active = None
                continue
            if active[1].kind == "negation":
                event.negated_at = active[0]
            else:
                event.doubted_at = active[0]
                if nearest is None and not _NEGATED.isdisjoint(active[1].phrase.split()):
                    event.negated_at = None  # "no pneumothorax, effusion cannot be excluded": a clause of its own
            nearest = event
        elif event is None:
            active = None
        elif event.where == "post":
            active, nearest = (at, event), None
        elif event.kind in ("termination", "negation", "uncertainty") and event.where != "negation":
            if event.phrase != "but" or nearest is not None:  # "less likely but not excluded" is said of one thing
                active = None


def _phrase(targets: list[Target]) -> list[Target]:
    """The first of some targets and those that touch it in turn: "nodular density" is one thing with two names."""
    stop = 1
    while stop < len(targets) and (
        targets[stop].start == targets[stop - 1].stop or targets[stop].stop == targets[stop - 1].start
    ):
        stop += 1
    return targets[:stop]


def _alternative(
    words: list[str], first: int, last: int, cue: Cue, before: list[Target], after: list[Target], cues: CueList
) -> None:
    """Make both sides of "atelectasis versus pneumonia" uncertain; "or" and "/" need findings on both sides."""
    before = [t for t in before if first - t.stop <= _ALTERNATIVE and "," not in words[t.stop : first]]
    after = [t for t in after if t.start - last <= _ALTERNATIVE and "," not in words[last : t.start]]
    if cue.phrase not in ("versus", "vs"):
        if not before or not after:
            return
        between = words[before[-1].stop : first] + words[last : after[0].start]
        if not all(word in cues.connectors or word in cues.descriptors for word in between):
            return
    for target in before + after:
        target.doubted_at = first
