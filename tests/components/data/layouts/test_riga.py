# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""RIGA: disc and cup from gray levels, raters, and Magrabia as test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radbundles.components.data import build_datalist, check_datalist, load_datalist

LEVELS = np.array([[0, 128, 255], [127, 254, 129], [0, 63, 191]], np.uint8)


@pytest.fixture
def folder(tmp_path: Path, picture: Any) -> Path:
    inside = (
        "BinRushed/BinRushed1/image1",
        "MESSIDOR/image1",
        "Magrabia/MagrabiaMale/image1",
        "Magrabia/MagrabiFemale/image2",
    )
    for name in inside:
        picture(tmp_path / f"riga/Image/{name}.tif", np.full((3, 3, 3), 90, np.uint8))
        picture(tmp_path / f"riga/FinalLabel/{name}.tif", LEVELS)
        picture(tmp_path / f"riga/Rater3/{name}.tif", np.rot90(LEVELS))
    return tmp_path / "riga"


def test_disc_holds_the_cup_and_levels_count_to_the_nearer(folder: Path, read: Any) -> None:
    items, _ = read("riga", folder)
    made = items["MESSIDOR/image1"]["made"]
    disc, cup = made["masks.optic disc"](), made["masks.optic cup"]()
    assert disc.astype(int).tolist() == [[0, 1, 1], [1, 1, 1], [0, 0, 1]]
    assert cup.astype(int).tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert (np.rot90(disc) == read("riga", folder, rater="3")[0]["MESSIDOR/image1"]["made"]["masks.optic disc"]()).all()


def test_magrabia_is_the_test_set(folder: Path, read: Any) -> None:
    items, _ = read("riga", folder)
    both = ("training", "validation")
    assert [(item["split"], item.get("sex")) for item in items.values()] == [
        (both, None),
        (both, None),
        ("test", "F"),
        ("test", "M"),
    ]
    assert items["BinRushed/BinRushed1/image1"]["metadata"] == {"part": "BinRushed"}


def test_the_datalist_has_no_faults(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out/o.json"
    with pytest.warns(UserWarning, match="without a patient id"):
        assert build_datalist("riga", folder, out).items == 4
    assert list(check_datalist(out, images="pixels")) == []
    first, second = load_datalist(out, "test")
    assert set(first["masks"]) == {"optic disc", "optic cup"} and first["masks"] != second["masks"]


def test_faults(folder: Path, tmp_path: Path, read: Any, picture: Any) -> None:
    picture(folder / "FinalLabel/MESSIDOR/image1.tif", np.full((3, 3), 128, np.uint8))
    (folder / "FinalLabel/BinRushed/BinRushed1/image1.tif").unlink()
    with pytest.warns(UserWarning, match="without a patient id"):
        report = build_datalist("riga", folder, tmp_path / "o.json")
    assert report.faults == {"unreadable_mask": 1, "missing_mask": 1} and report.items == 2
    assert "has no optic cup" in report.faults_path.read_text()
    with pytest.raises(FileNotFoundError, match=r"no folder Rater6; get the set with masks from"):
        read("riga", folder, rater="6")
