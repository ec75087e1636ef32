# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.phantom import NAMES
from radbundles.components.zero_shot import Prompts, PromptTable, prompt_table

CHEXPERT = (
    "Atelectasis Cardiomegaly Consolidation Edema Enlarged_Cardiomediastinum Fracture Lung_Lesion Lung_Opacity "
    "No_Finding Pleural_Effusion Pleural_Other Pneumonia Pneumothorax Support_Devices"
).split()
CHESTXRAY14 = (
    "Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax Consolidation Edema Emphysema "
    "Fibrosis Pleural_Thickening Hernia"
).split()
VINDR = (
    "Aortic_enlargement Atelectasis Calcification Cardiomegaly Clavicle_fracture Consolidation Emphysema Enlarged_PA "
    "ILD Infiltration Lung_Opacity Lung_cavity Lung_cyst Mediastinal_shift Nodule/Mass Other_lesion Pleural_effusion "
    "Pleural_thickening Pneumothorax Pulmonary_fibrosis Rib_fracture Lung_tumor COPD Pneumonia Tuberculosis No_finding"
).split()
ZONES = [f"{side} {zone}lung" for side in ("left", "right") for zone in ("", "upper ", "middle ", "lower ")]


def document(**changes: Any) -> dict[str, Any]:
    return {
        "name": "mine",
        "style": "plain",
        "styles": {
            "plain": {"positive": ["there is {term}"], "negative": ["there is no {term}"]},
            "both": {"positive": ["{term}", "{term} indicating {class}"], "negative": ["no {term}", "no {class}"]},
            "region": {"positive": ["{term}"], "negative": []},
        },
        "classes": {"Edema": {"terms": ["edema", "septal lines"], "aliases": ["Oedema"]}},
        **changes,
    }


@pytest.mark.parametrize("name", [*CHEXPERT, *CHESTXRAY14, *VINDR, *ZONES, *NAMES])
def test_chest_knows_the_classes_of_the_common_collections(name: str) -> None:
    prompts = prompt_table("chest").prompts(name)
    assert 4 <= len(prompts.positive) <= 6
    assert len(prompts.negative) in (0, len(prompts.positive))
    assert all(text == text.strip() and "{" not in text for text in prompts.positive + prompts.negative)


def test_every_style_of_chest_fills_every_class() -> None:
    for style in prompt_table("chest").styles:
        table = prompt_table("chest", style=style)
        for name in table.classes:
            prompts = table.prompts(name)
            assert prompts.positive and len(set(prompts.positive)) == len(prompts.positive)
            assert len(prompts.negative) in (0, len(prompts.positive))


def test_sentences_come_term_by_term_in_the_order_of_the_file() -> None:
    table = PromptTable(document(), style="both")
    expected = Prompts(
        ("edema", "edema indicating edema", "septal lines", "septal lines indicating edema"),
        ("no edema", "no edema", "no septal lines", "no edema"),
    )
    assert table.prompts("Edema") == expected
    assert table.prompts("oedema").positive == expected.positive  # the alias, whatever its case


def test_abbreviations_keep_their_case() -> None:
    table = prompt_table("chest", style="name")
    assert table.prompts("COPD").positive == ("COPD",)
    assert table.prompts("Enlarged PA").positive == ("enlarged PA",)
    assert table.prompts("Effusion").positive == ("pleural effusion",)


def test_an_unknown_class_names_near_ones() -> None:
    with pytest.raises(KeyError, match="no class 'Cardiomegally'.*did you mean Cardiomegaly"):
        prompt_table("chest").prompts("Cardiomegally")
    assert "Cardiomegally" not in prompt_table("chest") and "cardiomegaly" in prompt_table("chest")


def test_an_unknown_class_is_its_own_term_when_asked() -> None:
    prompts = prompt_table("chest").prompts("Hilar_Mass", own_term=True)
    assert prompts == Prompts(("there is Hilar Mass",), ("there is no Hilar Mass",))


def test_a_file_of_the_user_is_laid_over_a_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    own = {"extends": "chest", "classes": {"edema": {"terms": ["wet lungs"]}, "Bullet": {"terms": ["a bullet"]}}}
    path.write_text(json.dumps(own))
    table = prompt_table(path)
    assert table.prompts("Edema").positive == ("there is wet lungs",)
    assert table.prompts("bullet").positive == ("there is a bullet",)
    assert table.prompts("Mass") == prompt_table("chest").prompts("Mass")


def test_a_file_may_extend_one_beside_it_and_not_itself(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(json.dumps(document()))
    (tmp_path / "top.json").write_text(json.dumps({"extends": "base.json", "style": "region"}))
    assert prompt_table(tmp_path / "top.json").prompts("Edema").positive == ("edema", "septal lines")
    (tmp_path / "loop.json").write_text(json.dumps({"extends": "loop.json"}))
    with pytest.raises(ValueError, match="extends itself"):
        prompt_table(tmp_path / "loop.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "colour: unknown key"),
        ({"name": ""}, "name: must be there"),
        ({"classes": {}}, "classes: must be there"),
        ({"classes": {"A": {"terms": []}}}, r"classes.A.terms: must hold at least one"),
        ({"classes": {"A": {"terms": "edema"}}}, r"classes.A.terms: must be a list"),
        ({"classes": {"A": {"terms": ["x", "x"]}}}, r"classes.A.terms: holds a text twice"),
        ({"classes": {"A": {"terms": ["x"], "term": []}}}, r"classes.A.term: unknown key"),
        ({"classes": {"A": {"terms": ["x"], "style": "none"}}}, r"classes.A.style: no style 'none'"),
        ({"classes": {"A": {"terms": ["x"]}, "B": {"terms": ["x"], "aliases": ["a"]}}}, "belongs to 'A' already"),
        ({"styles": {"plain": {"positive": ["{term}"]}}}, r"styles.plain: must be an object"),
        ({"styles": {"plain": {"positive": ["{word}"], "negative": []}}}, r"styles.plain.positive: '\{word\}'"),
        ({"styles": {"plain": {"positive": ["{term"], "negative": []}}}, "no other braces"),
        ({"styles": {"plain": {"positive": ["edema"], "negative": []}}}, "all classes would read the same"),
        ({"styles": {"plain": {"positive": ["{term}"], "negative": ["a {term}", "b {term}"]}}}, "denial of each"),
        ({"style": "fancy"}, "no style 'fancy'"),
    ],
)
def test_faults_name_key_and_mend(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptTable(document(**changes))


def test_a_table_that_is_not_there_names_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match=r"neither a prompt table of the package \(chest\)"):
        prompt_table("thorax")
