# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How a language model is asked to distill a report: the conversation, the shape of the reply, what to mend in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from radbundles.components.distillation.answer import CERTAINTIES, Fault, read_answer
from radbundles.components.distillation.chat import Message, Reply
from radbundles.components.distillation.prompt_file import plain_name, read_prompt_file

_FORMAT = 1  # goes up whenever this file composes another conversation or schema from the same data
_SHOWN = 2_000  # characters of a broken reply that the model is shown again; one cut off may fill its whole context


@dataclass(frozen=True, eq=False)
class Prompt:
    """The data of a prompt and what is made from them. :meth:`read` is the way to one.

    Args:
        name: of the prompt, such as "chest".
        version: of the prompt.
        language: language tag of the reports.
        entities: name -> phrase that stands for it in a sentence.
        templates: certainty -> sentence with ``{}`` for the phrase.
        instructions: the system message.
        examples: pairs of a report and the findings wanted.
        excluded_sections: names, in lower case with single spaces, of sections that do not count.
        section_heading: line above a section's text, with ``{section}`` for its name.
        repairs: kind of fault -> what the model is told of it, and "again".
    """

    name: str
    version: str
    language: str
    entities: Mapping[str, str]
    templates: Mapping[str, str]
    instructions: str = field(repr=False)
    examples: Sequence[tuple[Mapping[str, str], Sequence[Mapping[str, Any]]]] = field(repr=False)
    excluded_sections: frozenset[str] = field(repr=False)
    section_heading: str = field(repr=False)
    repairs: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, source: str | os.PathLike[str] = "chest", entities: str | os.PathLike[str] | None = None) -> Prompt:
        """Read a prompt of the package or of the user's own.

        Args:
            source: "chest", "fundus", or the path of a JSON file as ``prompt.schema.json`` describes it.
            entities: list of entities that replaces the one of the prompt: "chest", "fundus", or the path of a JSON
                file with ``entities``, each with ``name`` and ``phrase``. What the examples find beyond it is left out.

        Raises:
            FileNotFoundError: if there is no such prompt or list.
            ValueError: if the file is malformed, or one of its examples would not pass as an answer to its report. The
                message names file and key.
        """
        path, content = read_prompt_file(source, entities)
        prompt = cls(**content)
        for number, (report, findings) in enumerate(prompt.examples):
            answer = read_answer(Reply(_reply(findings)), report, prompt)
            faults = [str(fault) for fault in answer.faults]
            if answer.rejected_descriptors:
                faults.append("a descriptor does not occur in the report")
            if faults:
                raise ValueError(f"{path}: examples.{number}.answer: {'; '.join(faults)}")
        return prompt

    @cached_property
    def sha256(self) -> str:
        """Digest of everything that can change a request or what is made of the reply."""
        content = {
            "format": _FORMAT,
            "fixed": self._fixed,
            "entities": list(self.entities.items()),
            "templates": dict(self.templates),
            "excluded_sections": sorted(self.excluded_sections),
            "section_heading": self.section_heading,
            "repairs": dict(self.repairs),
        }
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()

    def sections(self, report: Mapping[str, str]) -> list[tuple[str, str]]:
        """Names and texts of the sections that count, in the order of reading; blank ones do not."""
        excluded = self.excluded_sections
        return [(name, text) for name, text in report.items() if text.strip() and plain_name(name) not in excluded]

    def has_text(self, report: Mapping[str, str]) -> bool:
        """Whether there is anything to ask about a report."""
        return bool(self.sections(report))

    def messages(self, report: Mapping[str, str]) -> list[Message]:
        """The conversation that asks for a report: instructions, examples, the report."""
        return [*self._fixed, {"role": "user", "content": self._user(report)}]

    def repair(self, messages: Sequence[Message], reply: Reply, faults: Sequence[Fault]) -> list[Message]:
        """The conversation that asks again after a faulty reply.

        It holds the last reply only, so that it does not grow from one attempt to the next.

        Args:
            messages: the conversation that led to the reply, made by :meth:`messages` or by this method.
            reply: what the model said.
            faults: what was wrong with it, as :func:`read_answer` found.
        """
        said = reply.text if any(fault.places for fault in faults) else reply.text[:_SHOWN]
        lines = [_repair_line(self.repairs[fault.kind], fault) for fault in faults]
        return [
            *messages[: len(self._fixed) + 1],
            {"role": "assistant", "content": said},
            {"role": "user", "content": "\n".join([*lines, self.repairs["again"]])},
        ]

    def reply_schema(self) -> dict[str, Any]:
        """JSON Schema of the reply, within what constrained decoding of the usual servers understands.

        The evidence comes first, so that a model quotes before it judges. The same object at every call.
        """
        return self._schema

    def entity(self, name: str) -> str | None:
        """The name on the list for a name as a model writes it, case and white space aside; None if there is none."""
        return name if name in self.entities else self._names.get(plain_name(name))

    def sentence(self, entity: str, certainty: str) -> str:
        """The sentence that says how certain an entity is."""
        return self._sentences[entity, certainty]

    @cached_property
    def _fixed(self) -> tuple[Message, ...]:
        messages: list[Message] = [{"role": "system", "content": self.instructions}]
        for report, findings in self.examples:
            messages.append({"role": "user", "content": self._user(report)})
            messages.append({"role": "assistant", "content": _reply(findings)})
        return tuple(messages)

    @cached_property
    def _schema(self) -> dict[str, Any]:
        fields = {
            "evidence": {"type": "string"},
            "entity": {"type": "string", "enum": list(self.entities)},
            "certainty": {"type": "string", "enum": list(CERTAINTIES)},
            "descriptors": {"type": "array", "items": {"type": "string"}},
        }
        return _object({"findings": {"type": "array", "items": _object(fields)}})

    @cached_property
    def _names(self) -> dict[str, str]:
        return {plain_name(name): name for name in self.entities}

    @cached_property
    def _sentences(self) -> dict[tuple[str, str], str]:
        return {
            (name, certainty): template.replace("{}", phrase)
            for name, phrase in self.entities.items()
            for certainty, template in self.templates.items()
        }

    def _user(self, report: Mapping[str, str]) -> str:
        heading = self.section_heading
        return "\n\n".join(f"{heading.replace('{section}', name)}\n{text}" for name, text in self.sections(report))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _reply(findings: Sequence[Mapping[str, Any]]) -> str:
    keys = ("evidence", "entity", "certainty", "descriptors")
    return json.dumps({"findings": [{key: finding[key] for key in keys} for finding in findings]}, ensure_ascii=False)


def _repair_line(text: str, fault: Fault) -> str:
    return text.replace("{numbers}", ", ".join(map(str, fault.places)))
