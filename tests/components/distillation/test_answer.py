# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbundles.components.distillation import Answer, Fault, Prompt, read_answer
from radbundles.components.distillation.chat import Reply
from radbundles.components.distillation.schema import is_valid_output

REPORT = {
    "indication": "Rule out pneumonia.",
    "findings": "Small left effusion. No pneumothorax or edema. Possible atelectasis.",
    "impression": "Left  Effusion, stable.",
}
PROMPT = Prompt.read("chest")


def finding(evidence: str, entity: str, certainty: str = "present", *words: str) -> dict[str, Any]:
    return {"evidence": evidence, "entity": entity, "certainty": certainty, "descriptors": list(words)}


GOOD = [
    finding("Possible atelectasis", "atelectasis", "uncertain"),
    finding("Small left effusion", "effusion", "present", "small", "left"),
    finding("No pneumothorax or edema", "edema", "absent"),
]


def read(findings: Any, *, complete: bool = True, report: dict[str, str] = REPORT) -> Answer:
    text = findings if isinstance(findings, str) else json.dumps({"findings": findings})
    answer = read_answer(Reply(text, complete), report, PROMPT)
    assert answer.output is None or is_valid_output(answer.output, report)
    return answer


def entities(answer: Answer) -> list[dict[str, Any]]:
    assert answer.output is not None
    found: list[dict[str, Any]] = answer.output["entities"]
    return found


def names(answer: Answer) -> list[str]:
    return [f"{e['certainty']} {e['entity']}" for e in entities(answer)]


def quotes(answer: Answer) -> list[str]:
    spans = [entity["evidence"] for entity in entities(answer)]
    return [REPORT[span["section"]][span["start"] : span["end"]] for span in spans]


def kinds(answer: Answer) -> list[tuple[str, tuple[int, ...]]]:
    return [(fault.kind, fault.places) for fault in answer.faults]


def test_a_good_reply_becomes_a_record_in_reading_order() -> None:
    answer = read(GOOD)
    assert answer.output == {
        "text": "There is effusion. There is no edema. There may be atelectasis.",
        "entities": [
            {
                "entity": "effusion",
                "certainty": "present",
                "evidence": {"section": "findings", "start": 0, "end": 19},
                "descriptors": ["small", "left"],
            },
            {
                "entity": "edema",
                "certainty": "absent",
                "evidence": {"section": "findings", "start": 21, "end": 45},
                "descriptors": [],
            },
            {
                "entity": "atelectasis",
                "certainty": "uncertain",
                "evidence": {"section": "findings", "start": 47, "end": 67},
                "descriptors": [],
            },
        ],
    }
    assert (answer.faults, answer.rejected_spans, answer.rejected_descriptors) == ((), 0, 0)


def test_nothing_found_is_an_answer() -> None:
    assert read([]) == Answer({"text": "", "entities": []})


OBJECT = json.dumps({"findings": GOOD})


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{OBJECT}\n```",
        f"Here is the answer:\n\n{OBJECT}\nI hope that it helps.",
        f'<think>Is it {{"findings": []}} or not?</think>\n{OBJECT}',
        f'Of the form {{"a": b}}: {OBJECT}',
        f"{OBJECT}{OBJECT[:40]}",
        json.dumps({"findings": GOOD}, indent=2),
        json.dumps({"comment": "done", "findings": GOOD}),
    ],
)
def test_the_object_is_found_among_other_text(text: str) -> None:
    assert read(text) == read(GOOD)


@pytest.mark.parametrize(
    ("text", "complete", "kind", "reason"),
    [
        ("", True, "not_json", "the reply was not JSON"),
        ("There is an effusion.", True, "not_json", "the reply was not JSON"),
        (OBJECT[:-2], True, "not_json", "the reply was not JSON"),
        (OBJECT[:90], False, "cut_off", "the reply was cut off"),
        ('<think>The object {"findings": []} would', False, "cut_off", "the reply was cut off"),
        ('<think>The object {"findings": []} would', True, "not_json", "the reply was not JSON"),
        ("[" * 100_000, True, "not_json", "the reply was not JSON"),
        ('{"findings":' * 20_000, True, "not_json", "the reply was not JSON"),
        ('{"findings": [' + "9" * 10_000 + "]}", True, "not_json", "the reply was not JSON"),
        ("[]", True, "wrong_shape", "the reply had the wrong shape"),
        ("{}", True, "wrong_shape", "the reply had the wrong shape"),
        ('{"findings": "none"}', True, "wrong_shape", "the reply had the wrong shape"),
        ('{"findings": {"effusion": "present"}}', True, "wrong_shape", "the reply had the wrong shape"),
        ('{"findings": ["effusion", null, 3]}', True, "wrong_shape", "the reply had the wrong shape"),
        (json.dumps({"findings": GOOD * 200}), True, "wrong_shape", "the reply had the wrong shape"),
        (json.dumps({"answer": OBJECT}), True, "wrong_shape", "the reply had the wrong shape"),
    ],
)
def test_a_reply_that_is_no_answer_is_named(text: str, complete: bool, kind: str, reason: str) -> None:
    answer = read(text, complete=complete)
    assert answer.output is None
    assert [(fault.kind, str(fault)) for fault in answer.faults] == [(kind, reason)]


def test_a_reply_that_rambles_on_after_its_object_to_the_limit_is_whole() -> None:
    assert read(OBJECT + "\nLet me explain", complete=False) == read(GOOD)


def test_findings_of_the_wrong_shape_are_dropped() -> None:
    answer = read([*GOOD[:1], "effusion", {"entity": "edema"}, {**GOOD[1], "descriptors": "small"}, GOOD[2]])
    assert names(answer) == ["absent edema", "uncertain atelectasis"]
    assert kinds(answer) == [("wrong_shape", (2, 3, 4))]
    assert str(answer.faults[0]) == "3 of 5 findings had the wrong shape"


def test_descriptors_may_be_left_out() -> None:
    answer = read(
        [{key: GOOD[1][key] for key in ("evidence", "entity", "certainty")}, {**GOOD[2], "descriptors": None}]
    )
    assert names(answer) == ["present effusion", "absent edema"]
    assert not answer.faults


def test_evidence_that_the_report_does_not_hold_is_rejected_and_counted() -> None:
    answer = read([finding("Large right effusion", "effusion"), GOOD[0], finding("", "mass"), finding(".", "nodule")])
    assert names(answer) == ["uncertain atelectasis"]
    assert answer.rejected_spans == 3
    assert kinds(answer) == [("quotes", (1, 3, 4))]
    assert str(answer.faults[0]) == "3 of 4 quotes do not occur in the report"
    assert answer.faults[0].count == 3


def test_an_excluded_section_is_no_evidence() -> None:
    answer = read([finding("Rule out pneumonia", "pneumonia")])
    assert (names(answer), answer.rejected_spans) == ([], 1)


def test_evidence_across_sections_is_no_evidence() -> None:
    assert read([finding("Possible atelectasis. Left Effusion", "effusion")]).rejected_spans == 1


def test_entities_and_certainties_are_known_by_their_names_alone() -> None:
    reply = [
        finding("Small left effusion", " Effusion\n", "PRESENT"),
        finding("Small left effusion", "pleural fluid"),
        finding("Small left effusion", "mass", "maybe"),
    ]
    answer = read(reply)
    assert names(answer) == ["present effusion"]
    assert kinds(answer) == [("unknown_entity", (2,)), ("unknown_certainty", (3,))]
    assert [str(fault) for fault in answer.faults] == [
        "1 of 3 findings named an entity that is not on the list",
        "1 of 3 findings had an unknown certainty",
    ]


def test_an_entity_found_twice_is_one_record() -> None:
    reply = [
        finding("No pneumothorax", "effusion", "absent", "possible"),
        finding("Left effusion, stable", "effusion", "present", "stable", "left"),
        finding("Possible", "effusion", "uncertain"),
        finding("left effusion.", "effusion", "present", "small", "left"),
    ]
    answer = read(reply)
    assert names(answer) == ["present effusion"]
    assert quotes(answer) == ["left effusion"]
    assert entities(answer)[0]["descriptors"] == ["small", "left", "stable"]


def test_descriptors_are_words_of_the_report() -> None:
    words = ["SMALL", "small", "left  effusion", "huge", "eff", 7, "stable"]
    answer = read([{**GOOD[1], "descriptors": words}])
    assert entities(answer)[0]["descriptors"] == ["small", "left effusion", "stable"]
    assert answer.rejected_descriptors == 3
    assert not answer.faults
    assert read([{**GOOD[1], "descriptors": ["left"] * 20}]).rejected_descriptors == 12


def test_no_fault_quotes_reply_or_report() -> None:
    secret = "Zanzibar"
    reply = [finding(secret, secret, secret, secret), finding("Small", secret), finding("Small", "mass", secret)]
    faults = read([*reply, secret]).faults
    assert len(faults) == 4
    assert all(secret not in repr(fault) and secret not in str(fault) for fault in faults)


def test_a_fault_of_the_whole_reply_counts_no_findings() -> None:
    assert Fault("not_json").count == 0


LETTERS = st.text(alphabet=string.ascii_letters + ' .,\n-\u2013\u201c\u00e4\u0130{}"', max_size=40)


@st.composite
def replies(draw: st.DrawFn) -> tuple[dict[str, str], str]:
    """A report and a reply of which parts are true, parts are made up, and parts have the wrong shape."""
    report = draw(st.dictionaries(st.sampled_from(["findings", "impression", "history", "text"]), LETTERS, max_size=3))
    everything = " ".join(report.values())
    cut = st.integers(0, len(everything))
    words = st.one_of(LETTERS, st.builds(lambda a, b: everything[min(a, b) : max(a, b)], cut, cut))
    entry = st.fixed_dictionaries(
        {
            "evidence": words,
            "entity": st.sampled_from([*list(PROMPT.entities)[:5], "Zanzibar"]),
            "certainty": st.sampled_from(["present", "uncertain", "absent", "Zanzibar"]),
            "descriptors": st.lists(words, max_size=3),
        }
    )
    anything = st.recursive(
        st.none() | st.integers() | LETTERS, lambda inner: st.lists(inner, max_size=2), max_leaves=3
    )
    findings = draw(st.lists(st.one_of(entry, entry, entry, anything), max_size=6))
    text = json.dumps({"findings": findings})
    return report, draw(st.sampled_from([text, text, f"{text}.", text[: len(text) // 2]]))


@settings(deadline=None)
@given(replies())
def test_nothing_gets_through_that_the_report_does_not_hold(given: tuple[dict[str, str], str]) -> None:
    report, text = given
    answer = read_answer(Reply(text), report, PROMPT)
    if answer.output is None:
        assert answer.faults
        return
    assert is_valid_output(answer.output, report)
    claimed = [entry for entry in json.loads(text.removesuffix("."))["findings"] if isinstance(entry, dict)]
    said = {_plain(entry["evidence"]) for entry in claimed}
    read_text = " ".join(_plain(text) for name, text in report.items() if name != "history")
    for entity in answer.output["entities"]:
        span = entity["evidence"]
        assert span["section"] != "history"
        assert _plain(report[span["section"]][span["start"] : span["end"]]) in said
        assert all(_plain(word) in read_text for word in entity["descriptors"])
    assert len({entity["entity"] for entity in answer.output["entities"]}) == len(answer.output["entities"])
    assert answer.rejected_spans == sum(fault.count for fault in answer.faults if fault.kind == "quotes")


def _plain(text: str) -> str:
    text = "".join(c.lower() if len(c.lower()) == 1 else c for c in text.replace("\u2013", "-").replace("\u201c", '"'))
    return " ".join(text.split()).strip(' .,"')
