# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data import iter_datalist
from radbundles.components.distillation import RuleDistiller
from radbundles.components.phantom import write_phantoms
from radbundles.components.sentences import RuleLabels
from radbundles.transforms import LabelTable, label_table, split_sentences


@pytest.fixture(scope="module")
def findings() -> RuleLabels:
    return RuleLabels(label_table("findings"))


@pytest.fixture(scope="module")
def chexpert() -> RuleLabels:
    return RuleLabels(label_table("chexpert"))


@pytest.mark.parametrize(
    ("sentence", "labels"),
    [
        ("there is a small left pleural effusion", {"effusion": 1, "no finding": 0, "left": 1}),
        (
            "possible right lower zone consolidation",
            {"consolidation": -1, "no finding": 0, "right": -1, "lower zone": -1},
        ),
        (
            "no pleural effusion , pneumothorax or edema",
            {"effusion": 0, "pneumothorax": 0, "edema": 0, "no finding": 1},
        ),
        ("ptb in the right upper field .", {"tuberculosis": 1, "no finding": 0, "right": 1, "upper zone": 1}),
        ("bilateral ptb", {"tuberculosis": 1, "no finding": 0, "left": 1, "right": 1}),
        ("lul infiltrate", {"infiltrate": 1, "no finding": 0, "left": 1, "upper zone": 1}),
        (  # a place belongs to what stands nearest to it
            "no left effusion ; right upper lobe consolidation",
            {"effusion": 0, "consolidation": 1, "no finding": 0, "right": 1, "upper zone": 1},
        ),
        ("no pneumothorax on the left", {"pneumothorax": 0, "no finding": 1}),
        ("normal .", {"no finding": 1}),
        ("the patient is rotated", {}),
        ("the endotracheal tube ends above the carina", {"tube": 1}),
        ("pacemaker in place , no pneumothorax", {"pacemaker": 1, "pneumothorax": 0, "no finding": 1}),
        ("congestive heart failure without edema", {"edema": 1, "no finding": 0}),  # present beats absent
        ("there is abnormal vasculature", {"no finding": 0}),  # a finding that is no class of the table
        ("right - sided port - a - cath", {"catheter": 1, "right": 1}),
        ("a 2 . 5 cm nodule", {"nodule": 1, "no finding": 0}),
    ],
)
def test_labels_of_a_sentence(findings: RuleLabels, sentence: str, labels: dict[str, int]) -> None:
    assert findings(sentence) == labels


@pytest.mark.parametrize("entity", ["device", "lesion", "pacemaker", "pleural thickening", "tube"])
def test_entities_that_the_list_chest_lacks(entity: str) -> None:
    distiller = RuleDistiller("chest_classes")
    for text, certainty in (
        (f"A {entity} is seen on the left.", "present"),
        (f"There may be a {entity} on the left.", "uncertain"),
        (f"There is no {entity} on the left.", "absent"),
    ):
        found = [(entry["entity"], entry["certainty"]) for entry in distiller.distill({"text": text})["entities"]]
        assert found == [(entity, certainty)], text


def test_classes_of_chexpert(chexpert: RuleLabels) -> None:
    assert chexpert("multiple nodules and a picc line") == {"Lung Lesion": 1, "Support Devices": 1, "No Finding": 0}
    assert chexpert("heart size is normal") == {"Cardiomegaly": 0, "No Finding": 1}


def test_what_comes_back_is_the_callers_own(findings: RuleLabels) -> None:
    findings("no effusion")["effusion"] = 1
    assert findings("no effusion")["effusion"] == 0


def test_sentences_of_phantoms_say_what_the_phantoms_show(findings: RuleLabels, tmp_path: Path) -> None:
    checked = 0
    for _, _, item in iter_datalist(write_phantoms(tmp_path, count=40, seed=5, size=64)):
        for section in ("findings", "impression"):
            for sentence in split_sentences(item["report"].get(section, ""), minimum_tokens=1):
                said = {name: value for name, value in findings(sentence).items() if name in item["labels"]}
                assert said == {name: item["labels"][name] for name in said}, sentence
                checked += len(said)
    assert checked > 100


class Counting:
    name = "counting"
    version = "1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def distill(self, report: Mapping[str, str]) -> dict[str, Any]:
        self.asked.append(report["text"])
        return {"text": "", "entities": [{"entity": "lump", "certainty": "present"}]}


def test_own_backend_is_asked_once_for_each_sentence() -> None:
    classes = [{"name": "Lump", "phrase": "a lump", "entities": ["lump"]}, {"name": "None", "phrase": "nothing"}]
    backend = Counting()
    labels = RuleLabels(LabelTable({"name": "own", "classes": classes}), [backend])
    assert [labels(text) for text in ("a", "b", "a")] == [{"Lump": 1}] * 3
    assert backend.asked == ["a", "b"]


def test_table_without_entities_is_refused() -> None:
    with pytest.raises(ValueError, match="my table names no entity_lists"):
        RuleLabels(LabelTable({"name": "own", "classes": [{"name": "a", "phrase": "a"}]}, source="my table"))
