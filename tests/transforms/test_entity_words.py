# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Entity lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from radbundles.transforms import ECAMP_ENTITIES, entity_forms


def test_lexicon_gives_the_forms_of_all_its_entities_once(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.json"
    entities = [{"name": "effusion", "forms": ["effusion", "effusions"]}, {"name": "fluid", "forms": ["effusions"]}]
    path.write_text(json.dumps({"name": "test", "version": "1", "entities": entities}))
    assert entity_forms(path) == entity_forms(str(path)) == ("effusion", "effusions")


def test_list_is_taken_as_it_is() -> None:
    assert entity_forms(ECAMP_ENTITIES) == ECAMP_ENTITIES


@pytest.mark.parametrize("content", ["[]", '{"entities": [{"name": "mass"}]}', "{"])
def test_other_formats_are_refused_with_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lexicon.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="lexicon.json: expected"):
        entity_forms(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.json"):
        entity_forms(tmp_path / "none.json")


def test_empty_lists_and_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        entity_forms([])
    with pytest.raises(ValueError, match="' '"):
        entity_forms(["mass", " "])
