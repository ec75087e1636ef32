# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of data sets, and what follows from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from radbundles.components.cards import (
    card_text,
    closed_data_sets,
    data_license,
    data_sets_of,
    licenses_page,
    read_data_sets,
)
from radbundles.components.data.layouts import LAYOUTS


def test_every_cell_is_filled_and_every_answer_has_its_reason() -> None:
    for id, one in read_data_sets().items():
        assert re.fullmatch("[a-z0-9-]+", id) and one.url.startswith("https://")
        assert all((one.name, one.what, one.license, one.citation))
        assert one.weights_why.endswith(".") and one.rows_why.endswith(".") and not one.license.endswith(".")


def test_every_data_set_that_has_a_layout_is_in_the_table() -> None:
    # A table or a collection of one's own is no data set, and MIMIC-CXR has two layouts.
    assert set(LAYOUTS) - {"csv", "mimic-cxr-jpg", "open-collection"} <= set(read_data_sets())


def test_page_tells_the_terms_of_every_data_set() -> None:
    page = licenses_page()
    for one in read_data_sets().values():
        row = next(line for line in page.splitlines() if line.startswith(f"| [{one.name}]"))
        assert one.license in row and f"**{one.weights}**: {one.weights_why}" in row
        assert f"**{one.rows}**: {one.rows_why}" in row and f"- {one.name}: {one.citation}" in page


@pytest.mark.parametrize("id", ["mimic-cxr", "vindr-cxr", "candid-ptx", "chexpert", "siim-acr"])
def test_rows_of_restricted_sets_may_not_be_passed_on(id: str) -> None:
    one = read_data_sets()[id]
    assert one.rows == "no" and one.weights != "yes"


def test_data_sets_behind_the_weights_that_keep_them_closed_are_found() -> None:
    sets = {"made_for": ["chexpert"], "starts_from": ["imagenet"], "trained_on": ["montgomery", "mimic-cxr", "idrid"]}
    assert [one.id for one in closed_data_sets({"data_sets": sets})] == ["mimic-cxr", "imagenet"]
    assert closed_data_sets({"data_sets": {"trained_on": ["montgomery"]}}) == ()
    assert closed_data_sets({"data_sets": {"made_for": ["mimic-cxr"]}}) == closed_data_sets({}) == ()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"trained_on": ["mimic-cx"]}, "data_sets#trained_on names 'mimic-cx', which is unknown: did you mean 'mimic"),
        ({"trained": ["idrid"]}, "data_sets#trained is no role"),
        ({"trained_on": [["idrid"]]}, "which is unknown"),
        ({"trained_on": "idrid"}, "data_sets#trained_on must be a list"),
        (["idrid"], "data_sets must be an object"),
    ],
)
def test_faults_are_named_with_the_mend(named: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        data_sets_of({"data_sets": named})


def test_terms_of_a_bundle_are_those_of_its_data_sets(with_weights: Path, change: Callable[..., None]) -> None:
    change(with_weights, "metadata", data_sets={"made_for": ["chexpert"], "trained_on": ["idrid"]})
    text = data_license(with_weights)
    assert text.startswith("This bundle contains weights and no data.")
    trained, made_for = text.index("IDRiD: "), text.index("CheXpert: ")
    assert made_for < text.index("Its weights were trained on these") < trained
    assert "in public: check." in text[made_for:trained] and "in public: yes." in text[trained:]
    assert max(map(len, text.splitlines())) <= 120


def test_weights_of_unknown_origin_are_called_so(with_weights: Path, bundle: Path) -> None:
    assert "What its weights were trained on is not stated." in data_license(with_weights)


def test_weights_of_made_data_alone_are_called_so(with_weights: Path, change: Callable[..., None]) -> None:
    change(with_weights, "metadata", data_sets={"trained_on": []})
    assert "Its weights were trained on made data alone." in data_license(with_weights)
    assert "This bundle holds weights, trained on made data alone." in card_text(with_weights)


def test_metadata_of_every_bundle_names_data_sets_of_the_table(repository: Path) -> None:
    for path in sorted((repository / "bundles").glob("*/configs/metadata.json")):
        assert data_sets_of(json.loads(path.read_text(encoding="utf-8")))["made_for"], path
