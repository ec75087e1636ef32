# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Images are found by name wherever an archive unpacks to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data.layouts.find_images import find_file, find_images


def test_which_of_several_files_of_one_name_counts(tmp_path: Path, write: Any) -> None:
    for name in ("b/1.2.png", "a/1.2.jpg", "c/1.2.png", "masks/x.png", "small/y.png", "z/y.jpg", "k.PNG", "k.txt"):
        write(tmp_path / name, "")
    assert find_images(tmp_path) == {"1.2": "b/1.2.png", "y": "small/y.png", "k": "k.PNG"}
    assert find_images(tmp_path, last=["small"])["y"] == "z/y.jpg"
    assert find_images(tmp_path, skip=())["x"] == "masks/x.png"


def test_links_that_lead_round_in_circles_end(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "a/x.png", "")
    (tmp_path / "a/back").symlink_to(tmp_path, target_is_directory=True)
    assert find_images(tmp_path) == {"x": "a/x.png"}


def test_files_by_name(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "deep/er/t.csv", "")
    write(tmp_path / "deep/t.csv", "")
    assert find_file(tmp_path, "s.csv", "t.csv", get="") == tmp_path / "deep/t.csv"
    with pytest.raises(FileNotFoundError, match="has no s.csv or r.csv; ask"):
        find_file(tmp_path, "s.csv", "r.csv", get="ask")
