# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The quick acceptance of items agrees with the JSON Schema, and its messages help."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from radbundles.components.data.fault import Fault, hide_patient
from radbundles.components.data.schema import datalist_schema, header_faults, is_valid_item, item_faults

VALIDATOR = Draft202012Validator(
    {"$ref": "#/$defs/item", "$defs": datalist_schema()["$defs"]},
)
ITEM: dict[str, Any] = {
    "id": "a",
    "image": "images/a.png",
    "patient": "Nakamura-0815",
    "study": "s1",
    "view": "PA",
    "modality": "CXR",
    "sex": "F",
    "age": 45.5,
    "report": {"findings": "Clear lungs.", "impression": "Normal."},
    "labels": {"Edema": 1, "Effusion": 0, "Mass": -1},
    "masks": {"lungs": "masks/a.png"},
    "boxes": {"nodule": [[1, 2.5, 30, 40]], "mass": []},
    "phrases": [{"text": "nodule on the left", "boxes": [[1, 2, 30, 40]]}],
    "size": [512, 512],
    "window": [0, 2],
    "license": "CC BY 4.0",
    "source": "here",
    "metadata": {"kvp": 120, "portable": True, "note": None},
}
# Values near the border of what is allowed: right type and wrong value, whole floats, booleans, blanks of Unicode.
EDGES = st.sampled_from(
    [
        0,
        1,
        -1,
        2,
        3,
        1.0,
        -0.0,
        0.5,
        130,
        130.5,
        -0.1,
        True,
        False,
        None,
        "",
        " ",
        "\u2003",
        "\x1c",
        "a",
        "a\n",
        "\0",
        "a\0",
    ]
    + ["CXR", "fundus", "F", "M", "O", "f", [], {}, [1, 2], [1.0, 2], [0, 0], [1, 2, 3, 4], [[1, 2, 3, 4]], [[1, 2, 3]]]
    + [
        [[1, 2, True, 4]],
        {"": "x"},
        {" ": 1},
        {"a": "b"},
        {"a": 1},
        {"a": True},
        {"a": 1.0},
        {"a": []},
        {"a": [[1, 2, 3, 4]]},
    ]
    + [
        {"a": None},
        [{"text": "t", "boxes": []}],
        [{"text": " ", "boxes": []}],
        [{"text": "t"}],
        [{"text": "t", "boxes": [1]}],
    ]
    + [[{"text": "t", "boxes": [], "more": 1}], 10**400, "x" * 300]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def items(draw: st.DrawFn) -> Any:
    kept = draw(st.sets(st.sampled_from(sorted(ITEM))) | st.just(set(ITEM)))
    item = {key: ITEM[key] for key in ITEM if key in kept or key in ("id", "image")}
    changes = draw(st.dictionaries(st.sampled_from([*ITEM, "split", "distilled"]), EDGES | JUNK, max_size=2))
    item.update(changes)
    for key in draw(st.sets(st.sampled_from(["id", "image"]), max_size=1)) if draw(st.booleans()) else ():
        item.pop(key, None)
    return item


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items() | JUNK)
def test_quick_acceptance_agrees_with_the_schema(item: Any) -> None:
    expected = VALIDATOR.is_valid(item)
    assert is_valid_item(item) is expected
    assert (item_faults(item, 1) == []) is expected


def test_the_schema_itself_is_valid_and_describes_every_property() -> None:
    schema = datalist_schema()
    Draft202012Validator.check_schema(schema)
    fields = schema["$defs"]["fields"]["properties"]
    assert all(value.get("description") for value in (*schema["properties"].values(), *fields.values()))
    assert set(fields) == set(ITEM)
    assert is_valid_item(ITEM)


def test_whole_documents_and_lines_validate() -> None:
    schema = datalist_schema()
    document = Draft202012Validator(schema)
    line = Draft202012Validator({"$ref": "#/$defs/line", "$defs": schema["$defs"]})
    assert document.is_valid({"name": "n", "label_names": ["Edema"], "training": [ITEM], "test": []})
    assert not document.is_valid({"training": [{**ITEM, "split": "training"}]})
    assert not document.is_valid({"name": "n"})
    assert line.is_valid({**ITEM, "split": "test"})
    assert not line.is_valid(ITEM)
    assert not line.is_valid({**ITEM, "split": "test", "more": 1})


@pytest.mark.parametrize(
    ("change", "field", "code", "told"),
    [
        ({"patients": "x"}, "patients", "unknown_field", "Did you mean 'patient'"),
        ({"age": -4}, "age", "wrong_value", "-4 is less than 0"),
        ({"age": "45"}, "age", "wrong_type", "must be a number, not a text '45'"),
        ({"sex": "female"}, "sex", "wrong_value", "'female' is none of 'F', 'M', 'O'"),
        ({"labels": {"Edema": "yes"}}, "labels.Edema", "label_value", "'yes' is none of 1, 0, -1"),
        ({"boxes": {"a": [[1, 2, 3]]}}, "boxes.a[0]", "wrong_value", "has 3 numbers, not 4"),
        ({"size": [0, 5]}, "size[0]", "wrong_value", "0 is less than 1"),
        ({"window": [0, 3]}, "window[1]", "wrong_value", "3 is more than 2"),
        ({"image": "a\0"}, "image", "wrong_value", "blank or has a null character"),
        ({"masks": {" ": "a.png"}}, "masks", "wrong_value", "entry without a name"),
        ({"phrases": [{"text": "x"}]}, "phrases[0].boxes", "missing_field", "is missing"),
    ],
)
def test_messages_name_field_and_value(change: dict[str, Any], field: str, code: str, told: str) -> None:
    (fault,) = item_faults({**ITEM, **change}, row=7)
    assert (fault.row, fault.id, fault.field, fault.code) == (7, "a", field, code)
    assert told in str(fault) and "row 7" in str(fault)
    assert fault.fix.endswith((".", "?"))


def test_several_faults_of_one_item_are_all_told() -> None:
    codes = {fault.code for fault in item_faults({"image": 3, "sex": "x", "labels": {"E": 2}, "Age": 4}, 1)}
    assert codes == {"missing_field", "wrong_type", "wrong_value", "label_value", "unknown_field"}


@pytest.mark.parametrize("field", ["patient", "study", "report", "phrases", "metadata"])
def test_private_values_are_never_shown(field: str) -> None:
    secret = "Nakamura Yuki"
    wrongs: list[Any] = [[secret], {"a": [secret]}, {"a": {"b": secret}}, [{"text": [secret], "boxes": secret}]]
    told = [str(fault) for wrong in wrongs for fault in item_faults({**ITEM, field: wrong}, 1)]
    assert told
    assert not any("Nakamura" in text for text in told)


def test_a_path_with_the_patient_in_it_is_shown_without() -> None:
    item = {"id": "x", "patient": "10000032"}
    assert hide_patient("files/p10/p10000032/a.jpg", item) == "files/p10/p<patient>/a.jpg"
    assert hide_patient("a1/1/b.jpg", {"id": "x", "patient": "1"}) == "a1/<patient>/b.jpg"
    assert hide_patient("a/7.jpg", {"id": "7", "patient": "7"}) == "a/7.jpg"


def test_header_faults() -> None:
    assert header_faults({"label_names": ["a"], "training": [{"bad": 1}]}) == []
    found = {(fault.field, fault.code) for fault in header_faults({"Training": [], "label_names": ["a", "a"]})}
    assert found == {("Training", "unknown_field"), ("label_names", "wrong_value"), (None, "missing_field")}
    assert {fault.field for fault in header_faults({"test": {}, "name": 3})} == {"test", "name"}


def test_a_fault_is_json() -> None:
    fault = Fault(3, "a", "age", "wrong_value", "m", "f")
    assert json.loads(json.dumps(fault.to_dict())) == {
        "row": 3,
        "id": "a",
        "field": "age",
        "code": "wrong_value",
        "message": "m",
        "fix": "f",
    }
