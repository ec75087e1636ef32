# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.distillation import RuleDistiller, entity_file
from radbundles.components.distillation.lexicon import CUES, CueList, read_list
from radbundles.components.distillation.trie import Trie, add_phrase, scan

OFFICIAL = (
    "abnormality abscess aerate aorta atelectasis bronchiectasis calcification cardiomediastinal cardiomegaly catheter "
    "chf collapse congestion consolidation contour copd deformity dilation distention edema effusion embolism "
    "emphysema engorgement fibrosis fracture granuloma hernia hilar hyperinflate hemidiaphragm infiltrate mass nodule "
    "obscure opacity perihilar pneumonia pneumothorax sarcoidosis silhouette thickening tuberculosis vasculature"
).split()


def test_chest_list_has_the_44_official_names() -> None:
    content, _ = read_list(entity_file("chest"))
    assert sorted(entity["name"] for entity in content["entities"]) == sorted(OFFICIAL)


@pytest.mark.parametrize("name", ["chest", "chest_classes", "fundus"])
def test_forms_are_lower_case_unique_and_hold_the_name(name: str) -> None:
    content, _ = read_list(entity_file(name))
    forms = [form for entity in content["entities"] for form in entity["forms"]]
    assert len(forms) == len(set(forms))
    assert all(form == form.lower().strip() for form in forms)
    assert all(entity["name"] in entity["forms"] for entity in content["entities"])


@pytest.mark.parametrize("name", ["chest", "chest_classes", "fundus"])
def test_every_plain_form_is_found_as_its_entity(name: str) -> None:
    content, _ = read_list(entity_file(name))
    terms = {term for entry in content["structures"] for term in entry["terms"]}
    distiller = RuleDistiller(name)
    for entity in content["entities"]:
        for form in set(entity["forms"]) - terms:
            found = {e["entity"]: e["certainty"] for e in distiller.distill({"text": f"There is {form}."})["entities"]}
            assert found.get(entity["name"]) == "present", form


@pytest.mark.parametrize("name", ["chest", "chest_classes", "fundus"])
def test_distilled_sentence_of_an_entity_reads_back_as_that_entity(name: str) -> None:
    content, _ = read_list(entity_file(name))
    distiller = RuleDistiller(name)
    for entity in content["entities"]:
        found = [e["entity"] for e in distiller.distill({"text": f"There is {entity['phrase']}."})["entities"]]
        assert entity["name"] in found, entity["phrase"]


def test_scan_takes_the_longest_phrase() -> None:
    trie: Trie = {}
    add_phrase(trie, "heart", 1)
    add_phrase(trie, "heart failure", 2)
    add_phrase(trie, "failure of pump", 3)
    assert scan(["heart", "failure", "of", "heart"], 0, 4, trie) == [(0, 2, 2), (3, 4, 1)]
    assert scan(["heart", "failure"], 0, 1, trie) == [(0, 1, 1)]


def test_a_phrase_cannot_mean_two_things() -> None:
    trie: Trie = {}
    add_phrase(trie, "air-space disease", 1)
    add_phrase(trie, "air space disease", 1)
    with pytest.raises(ValueError, match="listed twice"):
        add_phrase(trie, "air space disease", 2)


def own_list(**changes: Any) -> dict[str, Any]:
    entity = {"name": "clip", "phrase": "surgical clip", "forms": ["clip", "clips"]}
    return {"name": "own", "version": "1", "source": "test", "entities": [entity], **changes}


def test_list_of_the_user_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(own_list()))
    distiller = RuleDistiller(path)
    assert distiller.distill({"text": "Two clips."})["text"] == "There is surgical clip."
    assert "own-1" in distiller.version


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entities": [{"name": "clip", "forms": ["clip"]}]}, "phrase"),
        ({"statements": [{"phrases": ["fine"], "absent": ["clop"]}]}, "'clop'"),
        ({"ignore": ["clips"]}, "listed twice"),
        ({"ignore": [" "]}, "holds no word"),
    ],
)
def test_faulty_list_is_refused_with_the_value(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(own_list(**changes)))
    with pytest.raises(ValueError, match=message) as error:
        RuleDistiller(path)
    assert "own.json" in str(error.value)


def test_unknown_list_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match="chest, chest_classes, fundus"):
        RuleDistiller("knee")


def test_cues_can_be_replaced(tmp_path: Path) -> None:
    content, _ = read_list(CUES)
    content["negation"]["pre"].append("kein")
    path = tmp_path / "cues.json"
    path.write_text(json.dumps(content))
    assert RuleDistiller(cues=path).distill({"text": "Kein effusion."})["text"] == "There is no effusion."
    del content["states"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'states' is missing"):
        CueList.read(path)
