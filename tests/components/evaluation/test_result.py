# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Results as JSON files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from radbundles.components.evaluation import as_json, bounds, read_json, write_json
from radbundles.components.metrics import Interval


def test_what_is_not_defined_is_null() -> None:
    value = {"a": [math.nan, np.float64(0.5), np.inf], "b": np.array([[1, 2]]), "c": (np.bool_(True), None, "x")}
    assert as_json(value) == {"a": [None, 0.5, None], "b": [[1, 2]], "c": [True, None, "x"]}
    with pytest.raises(TypeError, match="not set"):
        as_json({"a": {1}})


def test_bounds_pick_one_entry_of_arrays() -> None:
    assert bounds(Interval(0.5, 0.4, 0.6)) == [0.5, 0.4, 0.6]
    assert bounds(Interval(np.array([1, 2]), np.array([0, 1]), np.array([3, 4])), 1) == [2, 1, 4]


def test_file_is_read_back_and_no_part_of_it_is_left(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"x": np.nan, "y": "é"})
    assert read_json(tmp_path / "new" / "a.json", "result") == {"x": None, "y": "é"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_other_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileNotFoundError, match="there is no result at"):
        read_json(tmp_path / "none.json", "result")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="a.json is no result"):
        read_json(tmp_path / "a.json", "result")
