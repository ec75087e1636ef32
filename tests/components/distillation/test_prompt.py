# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from radbundles.components.distillation import Fault, Prompt, RuleDistiller, read_answer
from radbundles.components.distillation.chat import Message, Reply
from radbundles.components.distillation.prompt_file import prompt_schema

PACKAGED = Path(__file__).parents[3] / "components" / "distillation" / "prompts"
GERMAN = {
    "name": "thorax",
    "version": "2",
    "language": "de",
    "entities": [
        {"name": "Erguss", "phrase": "ein Erguss"},
        {"name": "Infiltrat", "phrase": "ein Infiltrat"},
        {"name": "Stauung", "phrase": "eine Stauung"},
    ],
    "instructions": ["Nenne, was der Befund sagt zu: {entities}.", "Antworte nur mit JSON."],
    "templates": {
        "present": "Nachgewiesen ist {}.",
        "uncertain": "M\u00f6glich ist {}.",
        "absent": "Nicht nachgewiesen ist {}.",
    },
    "examples": [
        {
            "report": {"Befund": "Kein Infiltrat. Gro\u00dfer Erguss rechts."},
            "answer": {
                "findings": [
                    {"evidence": "Kein Infiltrat", "entity": "Infiltrat", "certainty": "absent", "descriptors": []},
                    {
                        "evidence": "Gro\u00dfer Erguss",
                        "entity": "Erguss",
                        "certainty": "present",
                        "descriptors": ["gro\u00dfer", "rechts"],
                    },
                ]
            },
        }
    ],
    "excluded_sections": ["Fragestellung"],
    "section_heading": "[{section}]",
    "repair": {
        "not_json": "Das ist kein JSON.",
        "cut_off": "Das war zu lang.",
        "wrong_shape": "Die Form stimmt nicht.",
        "quotes": "Nicht im Befund: Nummer {numbers}.",
        "unknown_entity": "Nicht auf der Liste: Nummer {numbers}.",
        "unknown_certainty": "Falsche Sicherheit: Nummer {numbers}.",
        "again": "Antworte noch einmal.",
    },
}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture
def german(tmp_path: Path) -> Path:
    return write(tmp_path / "thorax.json", GERMAN)


@pytest.mark.parametrize("name", ["chest", "fundus"])
def test_a_packaged_prompt_follows_its_list_and_fits_a_small_context(name: str) -> None:
    prompt = Prompt.read(name)
    assert prompt.entities == RuleDistiller(name).entities.phrases
    messages = prompt.messages({"findings": "x"})
    assert all(entity in messages[0]["content"] for entity in prompt.entities)
    # English prose and JSON come to 3.4 characters a token or more with the vocabularies of today's models.
    assert sum(len(message["content"]) for message in messages) / 3.4 < 1_800
    certainties = {finding["certainty"] for _, findings in prompt.examples for finding in findings}
    assert certainties == {"present", "uncertain", "absent"}
    assert any(not findings for _, findings in prompt.examples)
    assert 4 <= len(prompt.examples) <= 6


def test_the_conversation_shows_the_sections_that_count_in_their_order() -> None:
    prompt = Prompt.read("chest")
    report = {"impression": "No change.", "Clinical_History": "Fever.", "comparison": "None.", "findings": "Clear.\n"}
    messages = prompt.messages({**report, "empty": "", "blank": " \n"})
    roles = [message["role"] for message in messages]
    assert roles == ["system", *["user", "assistant"] * len(prompt.examples), "user"]
    assert messages[-1]["content"] == "impression:\nNo change.\n\nfindings:\nClear.\n"
    assert messages[2]["content"].startswith('{"findings": [{"evidence": ')
    assert prompt.has_text(report)
    assert not prompt.has_text({"history": "Fever.", "findings": " "})
    assert not prompt.has_text({})


def test_a_prompt_in_another_language_gives_sentences_in_that_language(german: Path) -> None:
    prompt = Prompt.read(german)
    report = {"Fragestellung": "Erguss?", "Befund": "V. a. Infiltrat links. Keine Stauung, kein Erguss."}
    system = prompt.messages(report)[0]["content"]
    assert system == "Nenne, was der Befund sagt zu: Erguss, Infiltrat, Stauung.\nAntworte nur mit JSON."
    assert prompt.messages(report)[-1]["content"] == f"[Befund]\n{report['Befund']}"
    findings = [
        {"evidence": "Keine Stauung", "entity": "stauung", "certainty": "absent", "descriptors": []},
        {"evidence": "v. a. Infiltrat", "entity": "Infiltrat", "certainty": "uncertain", "descriptors": ["links"]},
        {"evidence": "Erguss links", "entity": "Erguss", "certainty": "uncertain", "descriptors": []},
        {"evidence": "Kein Erguss", "entity": "Erguss", "certainty": "absent", "descriptors": []},
    ]
    answer = read_answer(Reply(json.dumps({"findings": findings})), report, prompt)
    assert answer.output is not None
    assert answer.output["text"] == (
        "M\u00f6glich ist ein Infiltrat. Nicht nachgewiesen ist eine Stauung. Nicht nachgewiesen ist ein Erguss."
    )
    assert answer.rejected_spans == 1 and not answer.rejected_descriptors
    assert (prompt.name, prompt.version, prompt.language) == ("thorax", "2", "de")


def test_the_reply_schema_takes_good_answers_and_only_those() -> None:
    prompt = Prompt.read("chest")
    schema = prompt.reply_schema()
    validator = Draft202012Validator(schema)
    for message in prompt.messages({})[2:-1:2]:
        validator.validate(json.loads(message["content"]))
    finding = {"evidence": "x", "entity": "mass", "certainty": "present", "descriptors": ["big"]}
    assert validator.is_valid({"findings": [finding]})
    for change in ({"entity": "car"}, {"certainty": "maybe"}, {"more": 1}, {"descriptors": "big"}, {"evidence": None}):
        assert not validator.is_valid({"findings": [{**finding, **change}]})
    properties = schema["properties"]["findings"]["items"]["properties"]
    assert list(properties) == ["evidence", "entity", "certainty", "descriptors"]


def test_the_reply_schema_keeps_to_what_strict_servers_take() -> None:
    def check(schema: dict[str, Any]) -> None:
        assert schema.keys() <= {"type", "properties", "required", "additionalProperties", "items", "enum"}
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
        for inner in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
            check(inner)

    check(Prompt.read("fundus").reply_schema())


def test_the_digest_is_that_of_the_content(german: Path, tmp_path: Path) -> None:
    shuffled = write(tmp_path / "other.json", dict(reversed(GERMAN.items())))
    spaced = tmp_path / "spaced.json"
    spaced.write_text(json.dumps(GERMAN, indent=4), encoding="utf-8")
    digest = Prompt.read(german).sha256
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert digest == Prompt.read(shuffled).sha256 == Prompt.read(spaced).sha256


CHANGES: list[Callable[[dict[str, Any]], object]] = [
    lambda p: p["instructions"].append("Danke."),
    lambda p: p["entities"].reverse(),
    lambda p: p["entities"][0].update(phrase="Fl\u00fcssigkeit"),
    lambda p: p["templates"].update(absent="Kein Hinweis auf: {}."),
    lambda p: p["examples"].append({"report": {"Befund": "Alt."}, "answer": {"findings": []}}),
    lambda p: p["examples"][0]["answer"]["findings"].pop(),
    lambda p: p["excluded_sections"].append("Technik"),
    lambda p: p.update(section_heading="{section}:"),
    lambda p: p["repair"].update(again="Noch einmal."),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_can_change_a_record_changes_the_digest(
    change: Callable[[dict[str, Any]], object], german: Path, tmp_path: Path
) -> None:
    content = copy.deepcopy(GERMAN)
    change(content)
    assert Prompt.read(write(tmp_path / "changed.json", content)).sha256 != Prompt.read(german).sha256


BREAKS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda p: p.pop("repair"), "'repair' is a required property"),
    (lambda p: p.update(tone="polite"), "'tone' was unexpected"),
    (lambda p: p["repair"].pop("quotes"), "repair: 'quotes' is a required property"),
    (lambda p: p["templates"].update(absent="Nichts."), "templates.absent: 'Nichts.'"),
    (lambda p: p["templates"].update(absent="{} und {}"), "templates.absent: "),
    (lambda p: p.update(section_heading="Abschnitt"), "section_heading: "),
    (lambda p: p.update(instructions=["Nenne alles."]), r"instructions: the placeholder \{entities\} is missing"),
    (lambda p: p["entities"].append({"name": " erguss", "phrase": "x"}), "entities: two have the same name"),
    (lambda p: p["entities"].append({"name": "Erguss", "phrase": "x"}), "entities: two have the same name"),
    (lambda p: p.update(entities=[]), "entities: "),
    (
        lambda p: p["examples"][0]["answer"]["findings"][1].update(evidence="Erguss links"),
        "examples.0.answer: 1 of 2 quotes do not occur",
    ),
    (
        lambda p: p["examples"][0]["answer"]["findings"][0].update(entity="Tumor"),
        "examples.0.answer: 1 of 2 findings named an entity",
    ),
    (
        lambda p: p["examples"][0]["answer"]["findings"][0].update(descriptors=["neu"]),
        "examples.0.answer: a descriptor does not occur",
    ),
    (
        lambda p: p["examples"][0]["answer"]["findings"][0].update(certainty="vielleicht"),
        "examples.0.answer.findings.0.certainty: 'vielleicht'",
    ),
    (lambda p: p["examples"][0].update(report={"Fragestellung": "Kein Infiltrat. Erguss."}), "examples.0.answer: "),
    (lambda p: p["examples"][0].pop("report"), "examples.0: 'report' is a required property"),
]


@pytest.mark.parametrize(("change", "message"), BREAKS)
def test_a_malformed_prompt_is_refused_with_file_and_key(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    content = copy.deepcopy(GERMAN)
    change(content)
    path = write(tmp_path / "broken.json", content)
    with pytest.raises(ValueError, match=message) as caught:
        Prompt.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\u00ff"])
def test_a_file_that_holds_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        Prompt.read(path)


def test_an_unknown_prompt_names_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match=r"'knee' is neither a prompt of the package \(chest, fundus\)"):
        Prompt.read("knee")
    with pytest.raises(FileNotFoundError, match="'knee' is neither an entity list"):
        Prompt.read("chest", entities="knee")


def test_a_list_beside_the_prompt_is_found(tmp_path: Path) -> None:
    write(tmp_path / "list.json", {"entities": GERMAN["entities"]})
    path = write(tmp_path / "thorax.json", {**GERMAN, "entities": "list.json"})
    assert list(Prompt.read(path).entities) == ["Erguss", "Infiltrat", "Stauung"]
    write(tmp_path / "list.json", {"entities": [{"name": "Erguss"}]})
    with pytest.raises(ValueError, match=r"list.json: entities.0.phrase: a text is wanted"):
        Prompt.read(path)


def test_a_list_of_ones_own_takes_the_place_of_the_prompts(tmp_path: Path) -> None:
    own = [{"name": "Effusion", "phrase": "fluid"}, {"name": "pneumonia", "phrase": "pneumonia"}]
    path = write(tmp_path / "own.json", {"entities": [*own, {"name": "tumor", "phrase": "tumor"}]})
    prompt = Prompt.read("chest", entities=path)
    assert prompt.sha256 != Prompt.read("chest").sha256
    assert "about these entities: Effusion, pneumonia, tumor." in prompt.messages({})[0]["content"]
    shown = [finding["entity"] for _, findings in prompt.examples for finding in findings]
    assert shown == ["Effusion", "Effusion", "pneumonia"]
    assert [len(findings) for _, findings in prompt.examples] == [1, 2, 0]
    assert prompt.sentence("Effusion", "absent") == "There is no fluid."
    with pytest.raises(ValueError, match="no example finds an entity of the list fundus; write a prompt file"):
        Prompt.read(write(tmp_path / "thorax.json", GERMAN), entities="fundus")


def test_a_repair_shows_the_last_reply_and_the_numbers_at_fault(german: Path) -> None:
    prompt = Prompt.read(german)
    first = prompt.messages({"Befund": "Kein Erguss."})
    faults = (Fault("quotes", (1, 3), 4), Fault("unknown_entity", (2,), 4))
    second = prompt.repair(first, Reply('{"findings": []}'), faults)
    assert second[:-2] == first
    assert second[-2] == {"role": "assistant", "content": '{"findings": []}'}
    asked = "Nicht im Befund: Nummer 1, 3.\nNicht auf der Liste: Nummer 2.\nAntworte noch einmal."
    assert second[-1] == {"role": "user", "content": asked}
    third = prompt.repair(second, Reply("x" * 50_000), (Fault("cut_off"),))
    assert third[: len(first)] == first
    assert len(third) == len(first) + 2
    assert len(third[-2]["content"]) < 5_000


def test_conversations_share_no_list_that_a_caller_could_change() -> None:
    prompt = Prompt.read("chest")
    messages: list[Message] = prompt.messages({"findings": "Clear."})
    messages.clear()
    assert len(prompt.messages({"findings": "Clear."})) == 2 * len(prompt.examples) + 2


def test_all_but_the_model_takes_a_fraction_of_a_millisecond() -> None:
    prompt = Prompt.read("chest")
    report, findings = prompt.examples[1]
    reply = Reply(json.dumps({"findings": list(findings)}))
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(200):
            prompt.messages(report)
            read_answer(reply, report, prompt)
        best = min(best, (time.process_time() - began) / 200)
    assert best < 0.001  # ten times what it takes on a slow core, so that only a real change fails


def test_the_schema_of_prompt_files_is_one() -> None:
    Draft202012Validator.check_schema(prompt_schema())
    for path in PACKAGED.glob("*.json"):
        Draft202012Validator(prompt_schema()).validate(json.loads(path.read_text(encoding="utf-8")))
