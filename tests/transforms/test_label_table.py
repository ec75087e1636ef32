# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radbundles.components.distillation import entity_file
from radbundles.components.phantom.findings import NAMES
from radbundles.transforms import LabelTable, label_table

CHEXPERT = (
    "Atelectasis, Cardiomegaly, Consolidation, Edema, Enlarged Cardiomediastinum, Fracture, Lung Lesion, Lung Opacity, "
    "No Finding, Pleural Effusion, Pleural Other, Pneumonia, Pneumothorax, Support Devices"
).split(", ")
CHEST_XRAY14 = (
    "Atelectasis Cardiomegaly Consolidation Edema Effusion Emphysema Fibrosis Hernia Infiltration Mass Nodule "
    "Pleural_Thickening Pneumonia Pneumothorax"
).split()
VINDR = (
    "Aortic enlargement, Atelectasis, Calcification, Cardiomegaly, Consolidation, Infiltration, Lung Opacity, "
    "Nodule/Mass, Pleural effusion, Pleural thickening, Pneumothorax, Pulmonary fibrosis, No finding"
).split(", ")

OWN: dict[str, Any] = {
    "name": "own",
    "no_finding": "normal",
    "supports": ["device"],
    "classes": [
        {"name": "device", "phrase": "a device", "parts": [["tube", "wire"]]},
        {"name": "fluid", "phrase": "fluid", "aliases": ["effusion"], "uncertain": 1},
        {"name": "lump", "phrase": "a lump", "parts": [["mass", "nodule"], ["tumor"]]},
        {"name": "normal", "phrase": "no finding"},
        {"name": "scar", "phrase": "a scar", "uncertain": 0},
        {"name": "shade", "phrase": "a shade"},
    ],
}


@pytest.fixture
def own() -> LabelTable:
    return LabelTable(copy.deepcopy(OWN))


@pytest.fixture(scope="module")
def chexpert() -> LabelTable:
    return label_table("chexpert")


def codes(table: LabelTable, labels: dict[str, int], **options: Any) -> dict[str, int]:
    return dict(zip(table.names, table.codes(labels, **options).tolist(), strict=True))


def test_chexpert_has_the_14_classes_in_alphabetical_order(chexpert: LabelTable) -> None:
    assert list(chexpert.names) == CHEXPERT == sorted(CHEXPERT)


def test_findings_are_in_alphabetical_order() -> None:
    table = label_table("findings")
    names = [name for place, name in enumerate(table.names) if place not in table.locations]
    assert names == sorted(names) and len(names) > 20
    assert [table.names[place] for place in table.locations] == [
        "left", "right", "upper zone", "middle zone", "lower zone",
    ]  # fmt: skip


@pytest.mark.parametrize("change", [{"entities": ["effusion"]}, {"name": "normal"}])
def test_a_location_is_nothing_else(change: dict[str, Any]) -> None:
    classes = [{"name": "left", "phrase": "left", "terms": ["left"], **change}, {"name": "fluid", "phrase": "fluid"}]
    content = {"name": "own", "no_finding": "normal" if change.get("name") else "fluid", "classes": classes}
    with pytest.raises(ValueError, match="makes it a location"):
        LabelTable(content)


@pytest.mark.parametrize("name", ["chexpert", "findings"])
def test_entities_of_a_table_are_in_its_entity_lists(name: str) -> None:
    table = label_table(name)
    known = {
        entity["name"]
        for listed in table.entity_lists
        for entity in json.loads(Path(entity_file(listed)).read_text())["entities"]
    }
    assert {entity for entities in table.entities for entity in entities} <= known
    assert all(bool(entities) != bool(terms) for entities, terms in zip(table.entities, table.terms, strict=True))


@pytest.mark.parametrize("labels", [NAMES, CHEST_XRAY14, VINDR, ["tuberculosis"]])
def test_findings_know_the_labels_of_open_collections(labels: list[str]) -> None:
    assert label_table("findings").unknown_names(labels) == []


def test_chexpert_does_not_know_what_is_none_of_its_classes(chexpert: LabelTable) -> None:
    assert chexpert.unknown_names([*CHEST_XRAY14, *NAMES, "tuberculosis"]) == [
        "Emphysema", "Fibrosis", "Hernia", "tuberculosis",
    ]  # fmt: skip


def test_case_and_separators_of_a_name_make_no_difference(chexpert: LabelTable) -> None:
    assert [chexpert.index(name) for name in ("pleural_effusion", "PLEURAL  EFFUSION", "Effusion", "fluid")] == [
        9, 9, 9, None,
    ]  # fmt: skip


class TestResolve:
    def test_strongest_of_several_names_counts(self, own: LabelTable) -> None:
        for values in itertools.product((1, 0, -1), repeat=2):
            expected = 1 if 1 in values else -1 if -1 in values else 0
            assert own.resolve({"fluid": values[0], "Effusion": values[1]}) == {"fluid": expected}

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ({"nodule": 1, "mass": 0}, {"lump": 1}),
            ({"nodule": -1, "mass": 0}, {"lump": -1}),
            ({"nodule": 0}, {}),
            ({"nodule": 0, "mass": 0}, {"lump": 0}),
            ({"tumor": 0}, {"lump": 0}),
            ({"nodule": 0, "lump": 0}, {"lump": 0}),
            ({"nodule": 1, "lump": 0}, {"lump": 1}),
        ],
    )
    def test_part_is_not_the_whole(self, own: LabelTable, labels: dict[str, int], expected: dict[str, int]) -> None:
        assert own.resolve(labels) == expected

    def test_order_is_that_of_the_classes(self, own: LabelTable) -> None:
        assert list(own.resolve({"shade": 0, "fluid": 1, "other": 1, "device": 0})) == ["device", "fluid", "shade"]

    def test_value_out_of_range_is_refused_by_name(self, own: LabelTable) -> None:
        with pytest.raises(ValueError, match="'effusion' must be 1, 0 or -1, not 2"):
            own.resolve({"effusion": 2})


class TestOfficialCodes:
    """Every class is known, blanks being absent."""

    def test_uncertain_follows_the_policy_of_the_competition(self, chexpert: LabelTable) -> None:
        found = codes(chexpert, dict.fromkeys(CHEXPERT, -1), missing="absent")
        expected = dict.fromkeys(CHEXPERT, 0) | {"Atelectasis": 1, "Edema": 1, "Pleural Effusion": 1}
        assert found == expected | {"Cardiomegaly": -1, "Consolidation": -1, "No Finding": -1}

    def test_nothing_is_no_finding(self, chexpert: LabelTable) -> None:
        assert codes(chexpert, {}, missing="absent") == dict.fromkeys(CHEXPERT, -1) | {"No Finding": 1}

    def test_no_finding_takes_back_all_but_the_supports(self, chexpert: LabelTable) -> None:
        labels = {"No Finding": 1, "Pneumonia": 1, "Edema": -1, "Fracture": -1}
        assert codes(chexpert, labels, missing="absent") == dict.fromkeys(CHEXPERT, -1) | {"No Finding": 1}

    @pytest.mark.parametrize(("value", "code"), [(1, 1), (-1, 0)])
    def test_support_makes_an_image_not_normal(self, chexpert: LabelTable, value: int, code: int) -> None:
        found = codes(chexpert, {"No Finding": 1, "Support Devices": value}, missing="absent")
        assert found == dict.fromkeys(CHEXPERT, -1) | {"Support Devices": code}

    def test_uncertain_finding_makes_an_image_not_normal(self, chexpert: LabelTable) -> None:
        found = codes(chexpert, {"Fracture": -1}, missing="absent")
        assert found == dict.fromkeys(CHEXPERT, -1) | {"Fracture": 0}

    def test_finding_that_the_policy_takes_for_absent_leaves_it_normal(self, chexpert: LabelTable) -> None:
        assert codes(chexpert, {"Cardiomegaly": -1}, missing="absent")["No Finding"] == 1

    def test_uncertain_no_finding_is_found_anew(self, chexpert: LabelTable) -> None:
        assert codes(chexpert, {"No Finding": -1}, missing="absent")["No Finding"] == 1
        assert codes(chexpert, {"No Finding": -1, "Edema": 1}, missing="absent")["No Finding"] == -1

    def test_sentence_is_taken_at_its_word(self, chexpert: LabelTable) -> None:
        labels = {"No Finding": 1, "Pneumonia": 1, "Edema": -1, "Fracture": -1}
        found = codes(chexpert, labels, image=False, missing="absent")
        expected = dict.fromkeys(CHEXPERT, -1) | {"No Finding": 1, "Pneumonia": 1, "Edema": 1, "Fracture": 0}
        assert found == expected

    def test_silent_sentence_is_absent_throughout(self, chexpert: LabelTable) -> None:
        assert set(codes(chexpert, {}, image=False, missing="absent").values()) == {-1}

    def test_normal_items_agree_in_all_classes(self, chexpert: LabelTable) -> None:
        normal = chexpert.codes({"No Finding": 1}, missing="absent").astype(int)
        assert normal @ normal == 14

    def test_against_the_three_steps_written_for_tables(self, chexpert: LabelTable) -> None:
        rng = np.random.default_rng(0)
        raw = rng.choice([1, 0, -1], size=(500, 14), p=[0.15, 0.7, 0.15])
        policy = {"Atelectasis": 1, "Cardiomegaly": 0, "Consolidation": 0, "Edema": 1, "Pleural Effusion": 1}
        steps = raw.copy()
        for name, value in policy.items():
            column = CHEXPERT.index(name)
            steps[steps[:, column] == -1, column] = value
        none, others = 8, [column for column in range(14) if column != 8]
        normal = steps[:, none] == 1
        for column in others[:-1]:
            steps[normal, column] = 0
        steps[:, none] = (steps[:, others] == 0).all(1)
        expected = np.select([steps == -1, steps == 0], [0, -1], 1)
        found = [chexpert.codes(dict(zip(CHEXPERT, row.tolist(), strict=True))) for row in raw]
        np.testing.assert_array_equal(found, expected)
        assert normal.any() and (expected == 0).any()


class TestUnknown:
    """A class that nothing is said of is unknown, and so may be whether there is a finding."""

    # the classes: device (support), fluid (uncertain is present), lump, normal, scar (uncertain is absent), shade
    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ({}, [0, 0, 0, 0, 0, 0]),
            ({"fluid": 0}, [0, -1, 0, 0, 0, 0]),
            ({"fluid": 1}, [0, 1, 0, -1, 0, 0]),
            ({"fluid": -1}, [0, 1, 0, -1, 0, 0]),
            ({"scar": -1}, [0, 0, 0, 0, -1, 0]),
            ({"shade": -1}, [0, 0, 0, -1, 0, 0]),
            ({"normal": 1}, [0, -1, -1, 1, -1, -1]),
            ({"normal": 0}, [0, 0, 0, -1, 0, 0]),
            ({"normal": -1}, [0, 0, 0, 0, 0, 0]),
            ({"normal": 1, "shade": 1}, [0, -1, -1, 1, -1, -1]),
            ({"normal": 1, "device": 1}, [1, -1, -1, -1, -1, -1]),
            ({"normal": 1, "device": 0}, [-1, -1, -1, 1, -1, -1]),
            ({"normal": 1, "device": -1}, [0, -1, -1, -1, -1, -1]),
            ({"normal": 0, "fluid": 0}, [0, -1, 0, -1, 0, 0]),
            ({"device": 0, "fluid": 0, "lump": 0, "scar": 0, "shade": 0}, [-1, -1, -1, 1, -1, -1]),
            ({"device": 0, "fluid": 0, "lump": 0, "scar": 0, "shade": 0, "normal": 0}, [-1, -1, -1, 1, -1, -1]),
            ({"device": 0, "fluid": 0, "lump": 0, "scar": -1, "shade": 0}, [-1, -1, -1, 1, -1, -1]),
            ({"device": 0, "fluid": 0, "lump": 0, "scar": 0, "shade": -1}, [-1, -1, -1, -1, -1, 0]),
            ({"nodule": 0, "tube": 1}, [1, 0, 0, -1, 0, 0]),
        ],
    )
    def test_codes_of_an_image(self, own: LabelTable, labels: dict[str, int], expected: list[int]) -> None:
        found = own.codes(labels)
        assert found.tolist() == expected and found.dtype == np.int8

    def test_minus_one_can_mean_that_nobody_looked(self, own: LabelTable) -> None:
        labels = {"fluid": -1, "scar": -1, "shade": -1}
        assert own.codes(labels, uncertain="unknown").tolist() == [0, 0, 0, 0, 0, 0]
        known = dict.fromkeys(("device", "fluid", "lump", "scar"), 0)
        assert own.codes({**known, "shade": -1}, uncertain="unknown").tolist() == [-1, -1, -1, 0, -1, 0]

    def test_table_without_no_finding_has_nothing_to_settle(self) -> None:
        table = LabelTable({"name": "two", "classes": [{"name": n, "phrase": n} for n in ("a", "b")]})
        assert table.codes({"a": 0, "b": 0}).tolist() == [-1, -1]

    @pytest.mark.parametrize("option", [{"missing": "no"}, {"uncertain": "yes"}])
    def test_option_out_of_range_is_refused(self, own: LabelTable, option: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(option.values()))):
            own.codes({}, **option)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("name",), "", "needs a text 'name'"),
        (("classes",), [], "list of classes"),
        (("colour",), 1, "unknown key 'colour'"),
        (("no_finding",), "nothing", "no class 'nothing'"),
        (("supports",), ["wires"], "no class 'wires'"),
        (("entity_lists",), "chest", "entity_lists"),
        (("classes", 0), "device", "must be a JSON object, not str"),
        (("classes", 1, "phrase"), None, "'fluid' needs a text 'phrase'"),
        (("classes", 1, "alias"), ["x"], "'fluid' has the unknown key 'alias'"),
        (("classes", 1, "uncertain"), 2, "uncertain of 'fluid'"),
        (("classes", 1, "aliases"), ["Scar"], "'scar' is a name of both 'fluid' and 'scar'"),
        (("classes", 1, "name"), "scar", "more than one class has the name 'scar'"),
        (("classes", 2, "parts"), ["mass"], "parts of 'lump'"),
        (("classes", 2, "parts"), [[]], "parts of 'lump'"),
        (("classes", 2, "entities"), [3], "entities of the class 'lump'"),
    ],
)
def test_faulty_table_is_refused_with_file_and_key(
    tmp_path: Path, path: tuple[str | int, ...], value: object, message: str
) -> None:
    content: Any = copy.deepcopy(OWN)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file = tmp_path / "own.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        label_table(file)
    assert "own.json" in str(error.value)


def test_table_of_the_user_is_read_by_path(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(OWN))
    assert (
        label_table(file).names
        == label_table(str(file)).names
        == ("device", "fluid", "lump", "normal", "scar", "shade")
    )


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="chexpert, findings"):
        label_table("knee")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json is not JSON"):
        label_table(tmp_path / "broken.json")


def test_table_goes_to_worker_processes(own: LabelTable) -> None:
    again = pickle.loads(pickle.dumps(own))
    assert again.codes({"effusion": 1}).tolist() == own.codes({"effusion": 1}).tolist()
