# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from tests.components.distillation.scripted_model import PROMPT, ScriptedModel, found, reply

from radbundles.components.distillation import DistillationError, Distiller, LanguageModelDistiller
from radbundles.components.distillation.schema import is_valid_output

REPORT = {"findings": "Small left effusion."}


def test_one_report_is_distilled() -> None:
    distiller = LanguageModelDistiller(ScriptedModel(lambda _: reply(found("left effusion"))), PROMPT)
    output = distiller.distill(REPORT)
    assert isinstance(distiller, Distiller)
    assert output["text"] == "There is effusion." and is_valid_output(output, REPORT)


def test_version_tells_model_and_prompt_apart() -> None:
    distiller = LanguageModelDistiller(ScriptedModel(lambda _: reply(), model="medium-7b"), PROMPT)
    assert distiller.name == "scripted"
    assert distiller.version == f"medium-7b+chest-{PROMPT.version}.{PROMPT.sha256[:8]}"
    assert distiller.identity == (PROMPT.sha256, "scripted", "medium-7b")


@pytest.mark.parametrize("report", [{}, {"findings": " \n"}, {"indication": "Effusion?"}])
def test_nothing_to_ask_about_is_not_asked(report: dict[str, str]) -> None:
    model = ScriptedModel(lambda _: reply())
    assert LanguageModelDistiller(model, PROMPT).distill(report) == {"text": "", "entities": []}
    assert model.asked == []


def test_failure_gives_its_reason_and_no_text() -> None:
    model = ScriptedModel(lambda _: "Small left effusion.")
    with pytest.raises(DistillationError, match=r"^the reply was not JSON$"):
        LanguageModelDistiller(model, PROMPT, attempts=2).distill(REPORT)
    assert len(model.asked) == 2


def test_attempts_are_checked() -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1, not 0"):
        LanguageModelDistiller(ScriptedModel(lambda _: reply()), PROMPT, attempts=0)
