# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from radbundles.components.data import MaskSource


def source(**arguments: Any) -> MaskSource:
    return MaskSource(**{"name": "ours", "datalist": "d.json", "classes": ["Nodule", "Effusion"], **arguments})


def known(item: dict[str, Any], **arguments: Any) -> dict[str, int]:
    return source(**arguments).annotate(item)[1]


def test_masks_and_boxes_make_a_class_present() -> None:
    item = {"masks": {"Nodule": "n.png"}, "boxes": {"Effusion": [[1, 2, 3, 4]]}}
    targets, labels = source().annotate(item)
    assert labels == {"Nodule": 1, "Effusion": 1}
    assert targets == {
        "Nodule": {"masks": ["n.png"], "boxes": []},
        "Effusion": {"masks": [], "boxes": [[1, 2, 3, 4]]},
    }


def test_several_names_of_a_class_are_united() -> None:
    names = {"Mass": "Nodule", "Nodule/Mass": "Nodule"}
    item: dict[str, Any] = {"masks": {"Nodule": "a.png", "Mass": "b.png"}, "boxes": {}}
    assert source(names=names).annotate(item)[0] == {"Nodule": {"masks": ["a.png", "b.png"], "boxes": []}}
    item = {"boxes": {"Nodule/Mass": [[0, 0, 1, 1]], "Mass": [[2, 2, 3, 3], [4, 4, 5, 5]]}}
    assert source(names=names).annotate(item)[0]["Nodule"]["boxes"] == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]]


def test_the_items_own_lists_stay_as_they_are() -> None:
    item = {"boxes": {"Nodule": [[0, 0, 1, 1]], "Mass": [[2, 2, 3, 3]]}}
    source(names={"Mass": "Nodule"}).annotate(item)
    assert item == {"boxes": {"Nodule": [[0, 0, 1, 1]], "Mass": [[2, 2, 3, 3]]}}


def test_boxes_of_a_class_that_has_a_mask_are_left_aside() -> None:
    item = {"masks": {"Nodule": "n.png"}, "boxes": {"Nodule": [[0, 0, 9, 9]]}}
    assert source().annotate(item)[0]["Nodule"] == {"masks": ["n.png"], "boxes": []}


@pytest.mark.parametrize(
    ("label", "expected"), [({"Nodule": 1}, -1), ({"Nodule": -1}, -1), ({"Nodule": 0}, 0), ({}, 0)]
)
def test_labels_without_a_place(label: dict[str, int], expected: int) -> None:
    assert known({"labels": label}) == {"Nodule": expected, "Effusion": 0}


def test_a_place_counts_more_than_a_label() -> None:
    assert known({"labels": {"Nodule": 0}, "masks": {"Nodule": "n.png"}})["Nodule"] == 1


def test_labels_go_by_the_names_of_the_run_and_any_doubt_counts() -> None:
    names = {"Mass": "Nodule"}
    assert known({"labels": {"Mass": 1}}, names=names)["Nodule"] == -1
    assert known({"labels": {"Mass": 0, "Nodule": 0}}, names=names)["Nodule"] == 0
    assert known({"labels": {"Mass": -1, "Nodule": 0}}, names=names)["Nodule"] == -1


def test_missing_may_mean_unknown() -> None:
    assert known({"labels": {"Effusion": 0}}, missing="unknown") == {"Nodule": -1, "Effusion": 0}


def test_boxes_that_are_not_used_leave_their_class_unknown() -> None:
    targets, labels = source(boxes=False).annotate({"boxes": {"Nodule": [[0, 0, 1, 1]]}})
    assert targets == {}
    assert labels == {"Nodule": -1, "Effusion": 0}


def test_an_empty_list_of_boxes_says_nothing() -> None:
    assert known({"boxes": {"Nodule": []}})["Nodule"] == 0
    assert known({"boxes": {"Nodule": []}}, missing="unknown")["Nodule"] == -1


def test_names_that_are_no_class_of_the_source_are_not_annotated() -> None:
    targets, labels = source().annotate({"masks": {"Rib": "r.png"}})
    assert targets == {}
    assert set(labels) == {"Nodule", "Effusion"}


def test_sections_of_another_name() -> None:
    ours = source(sections={"training": [], "test": ["training", "test"]})
    assert [list(ours.parts(name)) for name in ("training", "validation", "test")] == [
        [],
        ["validation"],
        ["training", "test"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": []}, "list of different names"),
        ({"classes": "Nodule"}, "list of different names"),
        ({"classes": ["Nodule", "Nodule"]}, "list of different names"),
        ({"names": {"Mass": "Tumor"}}, "'Mass' into 'Tumor', which is not among its classes"),
        ({"weight": 0}, "weight must be above 0"),
        ({"weight": float("nan")}, "weight must be above 0"),
        ({"missing": "no"}, "'absent' or 'unknown', not 'no'"),
        ({"only": "montgomery"}, "only must be a list"),
        ({"only": []}, "only must be a list"),
        ({"sections": {"train": ["training"]}}, "'train'"),
        ({"sections": {"training": "training"}}, "lists of"),
        ({"sections": {"training": ["train"]}}, "lists of"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        source(**arguments)
    assert "source 'ours'" in str(caught.value)


def test_entries_of_a_config() -> None:
    entry = {"name": "ours", "datalist": "d.json", "classes": ["Nodule"]}
    assert MaskSource.of(entry) == MaskSource(name="ours", datalist="d.json", classes=["Nodule"])
    with pytest.raises(ValueError, match="unknown key 'weigth'; is it 'weight'"):
        MaskSource.of({**entry, "weigth": 2})
    with pytest.raises(ValueError, match="has no 'classes'"):
        MaskSource.of({"name": "ours", "datalist": "d.json"})
