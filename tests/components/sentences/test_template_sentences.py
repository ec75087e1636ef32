# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from radbundles.components.sentences import RuleLabels, template_sentences
from radbundles.transforms import label_table


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        ({"Effusion": 1, "Mass": 1, "Pneumonia": 0}, ["there is pleural effusion", "there is mass"]),
        ({"Effusion": 0, "tuberculosis": 0}, ["there is no pleural effusion", "there is no tuberculosis"]),
        ({"No Finding": 1}, ["there is no acute finding"]),
        ({"No Finding": 1, "Pneumonia": 0}, ["there is no acute finding", "there is no pneumonia"]),
        ({"pacemaker": 1, "effusion": 0}, ["there is a pacemaker", "there is no pleural effusion"]),
        ({"pacemaker": 0}, ["there is no pacemaker"]),
        ({"effusion": 1, "left": 1}, ["there is pleural effusion"]),
        ({"effusion": 0, "left": 0}, ["there is no pleural effusion"]),
        ({"Effusion": -1}, []),
        ({"knee": 1}, []),
        ({}, []),
    ],
)
def test_labels_in_words(labels: dict[str, int], texts: list[str]) -> None:
    assert [entry["text"] for entry in template_sentences(label_table("findings"), labels)] == texts


def test_labels_of_a_template() -> None:
    table = label_table("chexpert")
    assert template_sentences(table, {"effusion": 1}) == [
        {"text": "there is pleural effusion", "labels": {"Pleural Effusion": 1}}
    ]
    assert template_sentences(table, {"effusion": 0})[0]["labels"] == {"Pleural Effusion": 0, "No Finding": 1}


@pytest.mark.parametrize("name", ["chexpert", "findings"])
def test_rules_read_templates_back(name: str) -> None:
    table = label_table(name)
    read = RuleLabels(table)
    for place, label in enumerate(table.names):
        if place in table.locations:
            continue
        for value in (1, 0) if place != table.no_finding else (1,):
            (entry,) = template_sentences(table, {label: value})[:1]
            assert read(entry["text"])[label] == value, entry["text"]
